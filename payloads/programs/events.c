/*
 * Events, timers and task priority levels, held to the specification (7.1).
 *
 * Outcome: returned EFI_SUCCESS, every line "ok".
 */
#include "support.h"

#define MILLISECOND 10000ULL

/* Notification functions write here, one letter each, so that order shows. */
static char journal[64];
static UINTN journal_fill;

static void clear(void) {
    memset(journal, 0, sizeof journal);
    journal_fill = 0;
}

static BOOLEAN wrote(const char *want) {
    UINTN length = 0;
    while (want[length])
        length++;
    return journal_fill == length && same(journal, want, length);
}

static void EFIAPI note(EFI_EVENT event, void *context) {
    (void)event;
    if (journal_fill < sizeof journal)
        journal[journal_fill++] = *(const char *)context;
}

static EFI_TPL current_tpl(void) {
    EFI_TPL tpl = bs->RaiseTPL(TPL_HIGH_LEVEL);
    bs->RestoreTPL(tpl);
    return tpl;
}

static EFI_EVENT seen_event;
static EFI_TPL seen_tpl;

static void EFIAPI look(EFI_EVENT event, void *context) {
    note(event, context);
    seen_event = event;
    seen_tpl = current_tpl();
}

static EFI_EVENT inner_event;

static void EFIAPI outer(EFI_EVENT event, void *context) {
    note(event, context);
    bs->SignalEvent(inner_event);
    note(event, context);
}

static UINT32 wait_calls;

static void EFIAPI third_time(EFI_EVENT event, void *context) {
    (void)context;
    if (++wait_calls % 3 == 0)
        bs->SignalEvent(event);
}

static void EFIAPI close_self(EFI_EVENT event, void *context) {
    note(event, context);
    bs->CloseEvent(event);
}

static EFI_EVENT signal_event(EFI_TPL tpl, EFI_EVENT_NOTIFY function, const char *letter) {
    EFI_EVENT event = NULL;
    if (EFI_ERROR(bs->CreateEvent(EVT_NOTIFY_SIGNAL, tpl, function, (void *)(UINTN)letter, &event)))
        check("CreateEvent", FALSE);
    return event;
}

static void creation(void) {
    EFI_EVENT event = NULL;
    UINT32 both = EVT_NOTIFY_SIGNAL | EVT_NOTIFY_WAIT;
    expect("create: no place for it", bs->CreateEvent(0, 0, NULL, NULL, NULL), EFI_INVALID_PARAMETER);
    expect("create: both notifications", bs->CreateEvent(both, TPL_CALLBACK, note, "x", &event),
           EFI_INVALID_PARAMETER);
    expect("create: no function", bs->CreateEvent(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, NULL, NULL, &event),
           EFI_INVALID_PARAMETER);
    expect("create: level 0", bs->CreateEvent(EVT_NOTIFY_SIGNAL, 0, note, "x", &event), EFI_INVALID_PARAMETER);
    expect("create: level 32", bs->CreateEvent(EVT_NOTIFY_WAIT, 32, note, "x", &event), EFI_INVALID_PARAMETER);
    expect("create: unknown type", bs->CreateEvent(1, TPL_CALLBACK, note, "x", &event), EFI_INVALID_PARAMETER);
    expect("create: no notification", bs->CreateEvent(0, 0, NULL, NULL, &event), EFI_SUCCESS);
    expect("check: not signalled", bs->CheckEvent(event), EFI_NOT_READY);
    expect("signal", bs->SignalEvent(event), EFI_SUCCESS);
    expect("signal: signalled already", bs->SignalEvent(event), EFI_SUCCESS);
    expect("check: signalled", bs->CheckEvent(event), EFI_SUCCESS);
    expect("check: checking cleared it", bs->CheckEvent(event), EFI_NOT_READY);
    expect("close", bs->CloseEvent(event), EFI_SUCCESS);
}

static void timers(void) {
    EFI_EVENT pair[2] = {NULL, NULL};
    EFI_EVENT plain = NULL;
    UINTN index = 9;
    expect("timer: create", bs->CreateEvent(EVT_TIMER, 0, NULL, NULL, &pair[0]), EFI_SUCCESS);
    expect("timer: create another", bs->CreateEvent(EVT_TIMER, 0, NULL, NULL, &pair[1]), EFI_SUCCESS);
    expect("timer: create a plain event", bs->CreateEvent(0, 0, NULL, NULL, &plain), EFI_SUCCESS);
    expect("timer: not on a plain event", bs->SetTimer(plain, TimerRelative, MILLISECOND), EFI_INVALID_PARAMETER);
    expect("timer: unknown kind", bs->SetTimer(pair[0], (EFI_TIMER_DELAY)3, MILLISECOND), EFI_INVALID_PARAMETER);
    expect("timer: at rest", bs->CheckEvent(pair[0]), EFI_NOT_READY);

    expect("relative: set", bs->SetTimer(pair[0], TimerRelative, 20 * MILLISECOND), EFI_SUCCESS);
    expect("relative: wait", bs->WaitForEvent(1, pair, &index), EFI_SUCCESS);
    check("relative: index", index == 0);
    expect("relative: waiting cleared it", bs->CheckEvent(pair[0]), EFI_NOT_READY);
    bs->Stall(50000);
    expect("relative: fires once", bs->CheckEvent(pair[0]), EFI_NOT_READY);
    expect("relative: next tick", bs->SetTimer(pair[0], TimerRelative, 0), EFI_SUCCESS);
    expect("relative: wait for the tick", bs->WaitForEvent(1, pair, &index), EFI_SUCCESS);
    bs->SetTimer(pair[0], TimerRelative, 20 * MILLISECOND);
    bs->Stall(60000);
    expect("relative: fires during Stall", bs->CheckEvent(pair[0]), EFI_SUCCESS);

    expect("periodic: set", bs->SetTimer(pair[1], TimerPeriodic, 20 * MILLISECOND), EFI_SUCCESS);
    for (int round = 0; round < 3; round++) {
        index = 9;
        expect("periodic: wait", bs->WaitForEvent(2, pair, &index), EFI_SUCCESS);
        check("periodic: index of the second", index == 1);
    }
    expect("periodic: cancel", bs->SetTimer(pair[1], TimerCancel, 0), EFI_SUCCESS);
    bs->CheckEvent(pair[1]);
    bs->Stall(60000);
    expect("periodic: cancelled", bs->CheckEvent(pair[1]), EFI_NOT_READY);
    expect("periodic: every tick", bs->SetTimer(pair[1], TimerPeriodic, 0), EFI_SUCCESS);
    expect("periodic: first tick", bs->WaitForEvent(1, &pair[1], &index), EFI_SUCCESS);
    expect("periodic: second tick", bs->WaitForEvent(1, &pair[1], &index), EFI_SUCCESS);

    bs->SetTimer(pair[0], TimerRelative, 20 * MILLISECOND);
    bs->SetTimer(pair[0], TimerRelative, 10000 * MILLISECOND);
    bs->Stall(60000);
    expect("timer: setting replaces", bs->CheckEvent(pair[0]), EFI_NOT_READY);
    bs->CloseEvent(pair[0]);
    bs->CloseEvent(pair[1]);
    bs->CloseEvent(plain);
}

static void waiting(void) {
    EFI_EVENT list[2] = {NULL, NULL};
    UINTN index = 9;
    bs->CreateEvent(0, 0, NULL, NULL, &list[0]);
    list[1] = signal_event(TPL_CALLBACK, note, "s");
    expect("check: a signal notification", bs->CheckEvent(list[1]), EFI_INVALID_PARAMETER);
    expect("wait: a signal notification", bs->WaitForEvent(2, list, &index), EFI_INVALID_PARAMETER);
    check("wait: index of the bad one", index == 1);
    expect("wait: no events", bs->WaitForEvent(0, list, &index), EFI_INVALID_PARAMETER);
    bs->SignalEvent(list[0]);
    EFI_TPL tpl = bs->RaiseTPL(TPL_CALLBACK);
    EFI_STATUS status = bs->WaitForEvent(1, list, &index);
    bs->RestoreTPL(tpl);
    expect("wait: not at TPL_CALLBACK", status, EFI_UNSUPPORTED);
    bs->CloseEvent(list[0]);
    bs->CloseEvent(list[1]);

    EFI_EVENT event = NULL;
    expect("wait notification: create", bs->CreateEvent(EVT_NOTIFY_WAIT, TPL_CALLBACK, third_time, NULL, &event),
           EFI_SUCCESS);
    expect("wait notification: first check", bs->CheckEvent(event), EFI_NOT_READY);
    expect("wait notification: second check", bs->CheckEvent(event), EFI_NOT_READY);
    expect("wait notification: it signals", bs->CheckEvent(event), EFI_SUCCESS);
    check("wait notification: three calls", wait_calls == 3);
    expect("wait notification: wait", bs->WaitForEvent(1, &event, &index), EFI_SUCCESS);
    check("wait notification: six calls", wait_calls == 6);
    bs->SignalEvent(event);
    check("wait notification: not by a signal", wait_calls == 6);
    expect("wait notification: signalled", bs->CheckEvent(event), EFI_SUCCESS);
    check("wait notification: not when signalled", wait_calls == 6);
    tpl = bs->RaiseTPL(TPL_CALLBACK);
    expect("wait notification: check at its level", bs->CheckEvent(event), EFI_NOT_READY);
    check("wait notification: held back", wait_calls == 6);
    bs->RestoreTPL(tpl);
    check("wait notification: run on restore", wait_calls == 7);
    bs->CloseEvent(event);
}

static void levels(void) {
    EFI_EVENT low = signal_event(TPL_CALLBACK, look, "c");
    EFI_EVENT low_two = signal_event(TPL_CALLBACK, note, "d");
    EFI_EVENT high = signal_event(TPL_NOTIFY, note, "n");
    check("level: application", current_tpl() == TPL_APPLICATION);

    clear();
    bs->SignalEvent(low);
    check("notify: run at once", wrote("c"));
    check("notify: the event is given", seen_event == low);
    check("notify: at its level", seen_tpl == TPL_CALLBACK);
    check("notify: level restored", current_tpl() == TPL_APPLICATION);
    bs->SignalEvent(low);
    check("notify: again", wrote("cc"));

    clear();
    EFI_TPL tpl = bs->RaiseTPL(TPL_NOTIFY);
    check("raise: the old level", tpl == TPL_APPLICATION);
    bs->SignalEvent(low_two);
    bs->SignalEvent(low);
    bs->SignalEvent(low_two);
    bs->SignalEvent(high);
    check("raise: held back", wrote(""));
    EFI_TPL middle = bs->RaiseTPL(TPL_HIGH_LEVEL);
    check("raise: the middle level", middle == TPL_NOTIFY);
    bs->RestoreTPL(middle);
    check("restore: to the middle", wrote(""));
    bs->RestoreTPL(tpl);
    check("restore: high first, in order, once each", wrote("ndc"));

    clear();
    tpl = bs->RaiseTPL(TPL_NOTIFY);
    bs->SignalEvent(low);
    bs->SignalEvent(high);
    bs->RestoreTPL(TPL_CALLBACK);
    check("restore: to TPL_CALLBACK", wrote("n"));
    bs->RestoreTPL(tpl);
    check("restore: the rest", wrote("nc"));

    clear();
    EFI_EVENT nested = signal_event(TPL_CALLBACK, outer, "o");
    inner_event = high;
    bs->SignalEvent(nested);
    check("nested: higher level cuts in", wrote("ono"));
    clear();
    inner_event = low_two;
    bs->SignalEvent(nested);
    check("nested: same level comes after", wrote("ood"));

    clear();
    tpl = bs->RaiseTPL(TPL_NOTIFY);
    bs->SignalEvent(low);
    bs->SignalEvent(low_two);
    expect("close: while queued", bs->CloseEvent(low), EFI_SUCCESS);
    bs->RestoreTPL(tpl);
    check("close: not run any more", wrote("d"));
    clear();
    EFI_EVENT once = signal_event(TPL_CALLBACK, close_self, "q");
    bs->SignalEvent(once);
    check("close: in its own notification", wrote("q"));
    bs->CloseEvent(low_two);
    bs->CloseEvent(high);
    bs->CloseEvent(nested);
}

static void timed_notification(void) {
    EFI_EVENT event = NULL;
    expect("timed: create", bs->CreateEvent(EVT_TIMER | EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "t", &event),
           EFI_SUCCESS);
    clear();
    bs->SetTimer(event, TimerPeriodic, 20 * MILLISECOND);
    bs->Stall(130000);
    check("timed: run during Stall", journal_fill >= 2);
    EFI_TPL tpl = bs->RaiseTPL(TPL_CALLBACK);
    UINTN before = journal_fill;
    bs->Stall(130000);
    check("timed: held back", journal_fill == before);
    bs->SetTimer(event, TimerCancel, 0);
    bs->RestoreTPL(tpl);
    check("timed: once on restore", journal_fill == before + 1);
    bs->Stall(60000);
    check("timed: cancelled", journal_fill == before + 1);
    bs->SetTimer(event, TimerRelative, 20 * MILLISECOND);
    bs->CloseEvent(event);
    bs->Stall(60000);
    check("timed: closed", journal_fill == before + 1);
}

static void groups(void) {
    static const EFI_GUID own_group = {0x7f8a3a10, 0x2c5d, 0x4b6e, {0x91, 0x0d, 0x5e, 0x33, 0x61, 0xaa, 0x40, 0x01}};
    static const EFI_GUID exit_group = EXIT_BOOT_SERVICES_GUID;
    EFI_EVENT one = NULL, two = NULL, three = NULL, leaving = NULL;
    EFI_STATUS status =
        bs->CreateEventEx(EVT_SIGNAL_EXIT_BOOT_SERVICES, TPL_CALLBACK, note, "x", &own_group, &one);
    expect("group: not with the exit type", status, EFI_INVALID_PARAMETER);
    status = bs->CreateEventEx(EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE, TPL_CALLBACK, note, "x", &own_group, &one);
    expect("group: not with the address type", status, EFI_INVALID_PARAMETER);
    status = bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "1", &own_group, &one);
    expect("group: create", status, EFI_SUCCESS);
    status = bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_NOTIFY, note, "2", &own_group, &two);
    expect("group: create at TPL_NOTIFY", status, EFI_SUCCESS);
    status = bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "3", NULL, &three);
    expect("group: create in none", status, EFI_SUCCESS);
    status = bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, note, "e", &exit_group, &leaving);
    expect("group: create for leaving", status, EFI_SUCCESS);
    clear();
    bs->SignalEvent(one);
    check("group: all members, by level", wrote("21"));
    clear();
    bs->SignalEvent(three);
    check("group: none is no group", wrote("3"));
    bs->CloseEvent(one);
    clear();
    bs->SignalEvent(two);
    check("group: a closed member is out", wrote("2"));
    bs->CloseEvent(two);
    bs->CloseEvent(three);
    expect("group: close the one for leaving", bs->CloseEvent(leaving), EFI_SUCCESS);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    creation();
    timers();
    waiting();
    levels();
    timed_notification();
    groups();
    return verdict();
}
