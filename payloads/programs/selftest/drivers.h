/* Drivers of the program's own: asked, started, stopped, and made to stop for somebody else (7.3.12, 7.3.13, 11.1). */

static const EFI_GUID binding_guid = {0x18a031ab, 0xb443, 0x4d1a, {0xa5, 0xc0, 0x0c, 0x09, 0x26, 0x1e, 0x9f, 0x71}};
static const EFI_GUID bus_guid = OWN_GUID(0x70);
static const EFI_GUID child_guid = OWN_GUID(0x71);

typedef struct EFI_DRIVER_BINDING_PROTOCOL {
    EFI_STATUS(EFIAPI *Supported)(struct EFI_DRIVER_BINDING_PROTOCOL *, EFI_HANDLE, EFI_DEVICE_PATH_PROTOCOL *);
    EFI_STATUS(EFIAPI *Start)(struct EFI_DRIVER_BINDING_PROTOCOL *, EFI_HANDLE, EFI_DEVICE_PATH_PROTOCOL *);
    EFI_STATUS(EFIAPI *Stop)(struct EFI_DRIVER_BINDING_PROTOCOL *, EFI_HANDLE, UINTN, EFI_HANDLE *);
    UINT32 Version;
    EFI_HANDLE ImageHandle;
    EFI_HANDLE DriverBindingHandle;
} EFI_DRIVER_BINDING_PROTOCOL;

/* A driver, what it manages, how many children it makes, and what it writes in the journal: a letter each. */
typedef struct {
    EFI_DRIVER_BINDING_PROTOCOL binding;
    const EFI_GUID *manages;
    UINTN wanted;
    BOOLEAN stubborn;
    EFI_HANDLE children[2];
    char starts, stops, stops_children;
} DRIVER;

static EFI_STATUS driver_open(DRIVER *driver, EFI_HANDLE handle, EFI_HANDLE for_controller, UINT32 attributes) {
    void *found = NULL;
    return bs->OpenProtocol(handle, driver->manages, &found, driver->binding.DriverBindingHandle, for_controller,
                            attributes);
}

static void driver_close(DRIVER *driver, EFI_HANDLE handle, EFI_HANDLE for_controller) {
    bs->CloseProtocol(handle, driver->manages, driver->binding.DriverBindingHandle, for_controller);
}

static EFI_STATUS EFIAPI driver_supported(EFI_DRIVER_BINDING_PROTOCOL *this, EFI_HANDLE handle,
                                          EFI_DEVICE_PATH_PROTOCOL *rest) {
    DRIVER *driver = (DRIVER *)this;
    EFI_STATUS status = driver_open(driver, handle, handle, EFI_OPEN_PROTOCOL_BY_DRIVER);
    (void)rest;
    if (!EFI_ERROR(status))
        driver_close(driver, handle, handle);
    return status;
}

static EFI_STATUS EFIAPI driver_start(EFI_DRIVER_BINDING_PROTOCOL *this, EFI_HANDLE handle,
                                      EFI_DEVICE_PATH_PROTOCOL *rest) {
    DRIVER *driver = (DRIVER *)this;
    EFI_STATUS status = driver_open(driver, handle, handle, EFI_OPEN_PROTOCOL_BY_DRIVER);
    (void)rest;
    note(NULL, &driver->starts);
    for (UINTN i = 0; !EFI_ERROR(status) && i < driver->wanted; i++) {
        driver->children[i] = NULL;
        add(&driver->children[i], &child_guid, driver);
        driver_open(driver, handle, driver->children[i], EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER);
    }
    return status;
}

static EFI_STATUS EFIAPI driver_stop(EFI_DRIVER_BINDING_PROTOCOL *this, EFI_HANDLE handle, UINTN count,
                                     EFI_HANDLE *children) {
    DRIVER *driver = (DRIVER *)this;
    if (!count)
        note(NULL, &driver->stops);
    if (driver->stubborn)
        return EFI_DEVICE_ERROR;
    if (!count)
        driver_close(driver, handle, handle);
    for (UINTN i = 0; i < count; i++) {
        note(NULL, &driver->stops_children);
        driver_close(driver, handle, children[i]);
        bs->UninstallProtocolInterface(children[i], &child_guid, driver);
    }
    return EFI_SUCCESS;
}

static void driver_ready(DRIVER *driver, UINT32 version, const EFI_GUID *manages, const char letters[3]) {
    static const DRIVER fresh;
    *driver = fresh;
    driver->binding.Supported = driver_supported;
    driver->binding.Start = driver_start;
    driver->binding.Stop = driver_stop;
    driver->binding.Version = version;
    driver->binding.ImageHandle = self;
    driver->manages = manages;
    driver->starts = letters[0];
    driver->stops = letters[1];
    driver->stops_children = letters[2];
    add(&driver->binding.DriverBindingHandle, &binding_guid, driver);
}

static DRIVER old_driver, new_driver, child_driver;
static EFI_HANDLE bus;

static EFI_STATUS connect(BOOLEAN recursive) {
    clear();
    return bs->ConnectController(bus, NULL, NULL, recursive);
}

static EFI_STATUS disconnect(EFI_HANDLE driver_handle, EFI_HANDLE child_handle) {
    clear();
    return bs->DisconnectController(bus, driver_handle, child_handle);
}

static void without_drivers(void) {
    gives("ConnectController.no-driver", connect(FALSE), EFI_NOT_FOUND);
    gives("ConnectController.no-handle", bs->ConnectController(NULL, NULL, NULL, FALSE), EFI_INVALID_PARAMETER);
    gives("ConnectController.never-a-handle", bs->ConnectController(never, NULL, NULL, FALSE), EFI_INVALID_PARAMETER);
    gives("DisconnectController.no-driver", disconnect(NULL, NULL), EFI_SUCCESS);
    gives("DisconnectController.no-handle", bs->DisconnectController(NULL, NULL, NULL), EFI_INVALID_PARAMETER);
    gives("DisconnectController.never-a-driver", disconnect(never, NULL), EFI_INVALID_PARAMETER);
    gives("DisconnectController.never-a-child", disconnect(NULL, never), EFI_INVALID_PARAMETER);
    gives("DisconnectController.driver-that-is-none", disconnect(bus, NULL), EFI_INVALID_PARAMETER);
}

static void with_drivers(void) {
    static EFI_DEVICE_PATH_PROTOCOL end = PATH_END;
    EFI_HANDLE named[2] = {old_driver.binding.DriverBindingHandle, NULL};
    gives("ConnectController.two-drivers", connect(FALSE), EFI_SUCCESS);
    holds("ConnectController.higher-version", wrote("N"));
    gives("ConnectController.managed", connect(FALSE), EFI_NOT_FOUND);
    holds("ConnectController.not-started-again", wrote(""));
    gives("ConnectController.end-of-path", bs->ConnectController(bus, NULL, &end, FALSE), EFI_SUCCESS);
    gives("DisconnectController.not-managing", disconnect(old_driver.binding.DriverBindingHandle, NULL), EFI_SUCCESS);
    holds("DisconnectController.not-stopped", wrote(""));
    gives("DisconnectController.all", disconnect(NULL, NULL), EFI_SUCCESS);
    holds("DisconnectController.stopped", wrote("n"));
    gives("DisconnectController.all-again", disconnect(NULL, NULL), EFI_SUCCESS);
    clear();
    gives("ConnectController.named-driver", bs->ConnectController(bus, named, NULL, FALSE), EFI_SUCCESS);
    holds("ConnectController.named-first", wrote("O"));
    gives("DisconnectController.named-driver", disconnect(old_driver.binding.DriverBindingHandle, NULL), EFI_SUCCESS);
    holds("DisconnectController.named-stopped", wrote("o"));
}

static void with_children(void) {
    EFI_HANDLE *children = new_driver.children;
    new_driver.wanted = 2;
    gives("ConnectController.children", connect(TRUE), EFI_SUCCESS);
    holds("ConnectController.recursive", wrote("NCC"));
    gives("DisconnectController.one-child", disconnect(new_driver.binding.DriverBindingHandle, children[0]),
          EFI_SUCCESS);
    holds("DisconnectController.only-that-child", wrote("kc"));
    gives("HandleProtocol.child-stopped", handle_protocol(children[0], &child_guid), EFI_INVALID_PARAMETER);
    gives("HandleProtocol.child-left", handle_protocol(children[1], &child_guid), EFI_SUCCESS);
    gives("DisconnectController.last-child", disconnect(NULL, children[1]), EFI_SUCCESS);
    holds("DisconnectController.bus-stops-too", journal_fill && journal[journal_fill - 1] == 'n');
    gives("ConnectController.children-again", connect(FALSE), EFI_SUCCESS);
    holds("ConnectController.not-recursive", wrote("N"));
    gives("DisconnectController.with-children", disconnect(NULL, NULL), EFI_SUCCESS);
    holds("DisconnectController.children-first", wrote("kkn"));
    new_driver.wanted = 0;
}

static void making_way(void) {
    void *found = NULL;
    connect(FALSE);
    clear();
    gives("OpenProtocol.exclusive-stops-driver",
          bs->OpenProtocol(bus, &bus_guid, &found, self, NULL, EFI_OPEN_PROTOCOL_EXCLUSIVE), EFI_SUCCESS);
    holds("OpenProtocol.driver-stopped", wrote("n"));
    gives("ConnectController.while-exclusive", connect(FALSE), EFI_NOT_FOUND);
    bs->CloseProtocol(bus, &bus_guid, self, NULL);
    connect(FALSE);
    clear();
    gives("ReinstallProtocolInterface.managed", bs->ReinstallProtocolInterface(bus, &bus_guid, &one, &two),
          EFI_SUCCESS);
    holds("ReinstallProtocolInterface.starts-again", wrote("nN"));
    clear();
    new_driver.stubborn = TRUE;
    gives("DisconnectController.stubborn", disconnect(NULL, NULL), EFI_DEVICE_ERROR);
    gives("OpenProtocol.exclusive-stubborn",
          bs->OpenProtocol(bus, &bus_guid, &found, self, NULL, EFI_OPEN_PROTOCOL_EXCLUSIVE), EFI_ACCESS_DENIED);
    gives("UninstallProtocolInterface.stubborn", bs->UninstallProtocolInterface(bus, &bus_guid, &two),
          EFI_ACCESS_DENIED);
    holds("HandleProtocol.stubborn", is(bus, &bus_guid, &two));
    new_driver.stubborn = FALSE;
    clear();
    gives("UninstallProtocolInterface.managed", bs->UninstallProtocolInterface(bus, &bus_guid, &two), EFI_SUCCESS);
    holds("UninstallProtocolInterface.stops", wrote("n"));
}

static void check_drivers(void) {
    add(&bus, &bus_guid, &one);
    without_drivers();
    driver_ready(&old_driver, 0x10, &bus_guid, "Oop");
    driver_ready(&new_driver, 0x20, &bus_guid, "Nnk");
    driver_ready(&child_driver, 0x10, &child_guid, "Cc-");
    with_drivers();
    with_children();
    making_way();
    bs->UninstallProtocolInterface(old_driver.binding.DriverBindingHandle, &binding_guid, &old_driver);
    bs->UninstallProtocolInterface(new_driver.binding.DriverBindingHandle, &binding_guid, &new_driver);
    bs->UninstallProtocolInterface(child_driver.binding.DriverBindingHandle, &binding_guid, &child_driver);
}
