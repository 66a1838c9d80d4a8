/* Where the gates of the runtime services were, in the order of their table: sixteen bytes each. */
    .section .services, "ax"
    .globl _start
_start:
    .macro service name
    .balign 16
#if defined(__x86_64__)
    jmp \name
#elif defined(__aarch64__)
    b \name
#else
    tail \name
#endif
    .endm
    service get_time
    service unsupported             /* SetTime */
    service unsupported             /* GetWakeupTime */
    service unsupported             /* SetWakeupTime */
    service set_virtual_address_map
    service unsupported             /* ConvertPointer */
    service get_variable
    service get_next_variable_name
    service unsupported             /* SetVariable */
    service unsupported             /* GetNextHighMonotonicCount */
    service reset_system
    service unsupported             /* UpdateCapsule */
    service unsupported             /* QueryCapsuleCapabilities */
    service unsupported             /* QueryVariableInfo */

    .section .params, "a"
    .hidden params
    .globl params
params:
    .fill 6, 8, 0
