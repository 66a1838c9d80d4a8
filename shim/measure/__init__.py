"""From a run to the measurements that a machine will hold, in the forms that others read."""
