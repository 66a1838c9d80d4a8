/* Events, timers and task priority levels (7.1). */

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
    wait_calls++;
    if (wait_calls == 3 || wait_calls == 6)
        bs->SignalEvent(event);
}

static void EFIAPI close_self(EFI_EVENT event, void *context) {
    note(event, context);
    bs->CloseEvent(event);
}

static EFI_EVENT signalled_by(EFI_TPL tpl, EFI_EVENT_NOTIFY function, const char *letter) {
    EFI_EVENT event = NULL;
    bs->CreateEvent(EVT_NOTIFY_SIGNAL, tpl, function, (void *)(UINTN)letter, &event);
    return event;
}

static void creating_events(void) {
    const EFI_TPL level = TPL_CALLBACK;
    EFI_EVENT event = NULL;
    gives("CreateEvent.no-result", bs->CreateEvent(0, 0, NULL, NULL, NULL), EFI_INVALID_PARAMETER);
    gives("CreateEvent.both-notifications",
          bs->CreateEvent(EVT_NOTIFY_SIGNAL | EVT_NOTIFY_WAIT, level, note, "x", &event), EFI_INVALID_PARAMETER);
    gives("CreateEvent.signal-no-function", bs->CreateEvent(EVT_NOTIFY_SIGNAL, level, NULL, NULL, &event),
          EFI_INVALID_PARAMETER);
    gives("CreateEvent.wait-no-function", bs->CreateEvent(EVT_NOTIFY_WAIT, level, NULL, NULL, &event),
          EFI_INVALID_PARAMETER);
    gives("CreateEvent.level-0", bs->CreateEvent(EVT_NOTIFY_SIGNAL, 0, note, "x", &event), EFI_INVALID_PARAMETER);
    gives("CreateEvent.level-32", bs->CreateEvent(EVT_NOTIFY_WAIT, 32, note, "x", &event), EFI_INVALID_PARAMETER);
    gives("CreateEvent.unknown-type", bs->CreateEvent(1, level, note, "x", &event), EFI_INVALID_PARAMETER);
    gives("CreateEvent.exit-and-timer",
          bs->CreateEvent(EVT_SIGNAL_EXIT_BOOT_SERVICES | EVT_TIMER, level, note, "x", &event), EFI_INVALID_PARAMETER);
    gives("CreateEvent.virtual-and-timer",
          bs->CreateEvent(EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE | EVT_TIMER, level, note, "x", &event),
          EFI_INVALID_PARAMETER);
    gives("CreateEvent.no-notification", bs->CreateEvent(0, 0, NULL, NULL, &event), EFI_SUCCESS);
    gives("CheckEvent.not-signalled", bs->CheckEvent(event), EFI_NOT_READY);
    gives("SignalEvent.first", bs->SignalEvent(event), EFI_SUCCESS);
    gives("SignalEvent.signalled-already", bs->SignalEvent(event), EFI_SUCCESS);
    gives("CheckEvent.signalled", bs->CheckEvent(event), EFI_SUCCESS);
    gives("CheckEvent.checked-already", bs->CheckEvent(event), EFI_NOT_READY);
    gives("CloseEvent.plain", bs->CloseEvent(event), EFI_SUCCESS);
    gives("CreateEvent.wait", bs->CreateEvent(EVT_NOTIFY_WAIT, level, note, "x", &event), EFI_SUCCESS);
    bs->CloseEvent(event);
    gives("CreateEvent.exit", bs->CreateEvent(EVT_SIGNAL_EXIT_BOOT_SERVICES, level, note, "x", &event), EFI_SUCCESS);
    gives("CloseEvent.exit", bs->CloseEvent(event), EFI_SUCCESS);
    gives("CreateEvent.virtual", bs->CreateEvent(EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE, level, note, "x", &event),
          EFI_SUCCESS);
    gives("CloseEvent.virtual", bs->CloseEvent(event), EFI_SUCCESS);
}

static void timers(void) {
    EFI_EVENT pair[2] = {NULL, NULL};
    EFI_EVENT plain = NULL;
    UINTN index = 9;
    gives("CreateEvent.timer", bs->CreateEvent(EVT_TIMER, 0, NULL, NULL, &pair[0]), EFI_SUCCESS);
    bs->CreateEvent(EVT_TIMER, 0, NULL, NULL, &pair[1]);
    bs->CreateEvent(0, 0, NULL, NULL, &plain);
    gives("SetTimer.plain-event", bs->SetTimer(plain, TimerRelative, MILLISECOND), EFI_INVALID_PARAMETER);
    gives("SetTimer.no-event", bs->SetTimer(NULL, TimerRelative, MILLISECOND), EFI_INVALID_PARAMETER);
    gives("SetTimer.kind-3", bs->SetTimer(pair[0], (EFI_TIMER_DELAY)3, MILLISECOND), EFI_INVALID_PARAMETER);
    gives("SetTimer.cancel-unset", bs->SetTimer(pair[0], TimerCancel, 0), EFI_SUCCESS);
    gives("CheckEvent.timer-at-rest", bs->CheckEvent(pair[0]), EFI_NOT_READY);

    gives("SetTimer.relative", bs->SetTimer(pair[0], TimerRelative, 20 * MILLISECOND), EFI_SUCCESS);
    gives("WaitForEvent.relative", bs->WaitForEvent(1, pair, &index), EFI_SUCCESS);
    holds("WaitForEvent.index", index == 0);
    gives("CheckEvent.waited-for", bs->CheckEvent(pair[0]), EFI_NOT_READY);
    bs->Stall(50000);
    gives("CheckEvent.relative-once", bs->CheckEvent(pair[0]), EFI_NOT_READY);
    gives("SetTimer.next-tick", bs->SetTimer(pair[0], TimerRelative, 0), EFI_SUCCESS);
    gives("WaitForEvent.next-tick", bs->WaitForEvent(1, pair, &index), EFI_SUCCESS);
    bs->SetTimer(pair[0], TimerRelative, 20 * MILLISECOND);
    bs->Stall(100000);
    gives("CheckEvent.after-Stall", bs->CheckEvent(pair[0]), EFI_SUCCESS);

    gives("SetTimer.periodic", bs->SetTimer(pair[1], TimerPeriodic, 20 * MILLISECOND), EFI_SUCCESS);
    index = 9;
    gives("WaitForEvent.periodic", bs->WaitForEvent(2, pair, &index), EFI_SUCCESS);
    holds("WaitForEvent.index-of-second", index == 1);
    gives("WaitForEvent.periodic-again", bs->WaitForEvent(2, pair, &index), EFI_SUCCESS);
    gives("SetTimer.cancel", bs->SetTimer(pair[1], TimerCancel, 0), EFI_SUCCESS);
    bs->CheckEvent(pair[1]);
    bs->Stall(100000);
    gives("CheckEvent.cancelled", bs->CheckEvent(pair[1]), EFI_NOT_READY);
    gives("SetTimer.every-tick", bs->SetTimer(pair[1], TimerPeriodic, 0), EFI_SUCCESS);
    gives("WaitForEvent.tick", bs->WaitForEvent(1, &pair[1], &index), EFI_SUCCESS);
    gives("WaitForEvent.another-tick", bs->WaitForEvent(1, &pair[1], &index), EFI_SUCCESS);
    bs->SetTimer(pair[0], TimerRelative, 20 * MILLISECOND);
    bs->SetTimer(pair[0], TimerRelative, 100000 * MILLISECOND);
    bs->Stall(100000);
    gives("CheckEvent.timer-replaced", bs->CheckEvent(pair[0]), EFI_NOT_READY);
    bs->CloseEvent(pair[0]);
    bs->CloseEvent(pair[1]);
    bs->CloseEvent(plain);
}

static void waiting(void) {
    EFI_EVENT list[2] = {NULL, NULL};
    EFI_EVENT event = NULL;
    UINTN index = 9;
    bs->CreateEvent(0, 0, NULL, NULL, &list[0]);
    list[1] = signalled_by(TPL_CALLBACK, note, "s");
    gives("CheckEvent.notify-signal", bs->CheckEvent(list[1]), EFI_INVALID_PARAMETER);
    gives("WaitForEvent.notify-signal", bs->WaitForEvent(2, list, &index), EFI_INVALID_PARAMETER);
    holds("WaitForEvent.index-of-bad-one", index == 1);
    gives("WaitForEvent.no-events", bs->WaitForEvent(0, list, &index), EFI_INVALID_PARAMETER);
    bs->SignalEvent(list[0]);
    EFI_TPL tpl = bs->RaiseTPL(TPL_CALLBACK);
    EFI_STATUS status = bs->WaitForEvent(1, list, &index);
    bs->RestoreTPL(tpl);
    gives("WaitForEvent.TPL_CALLBACK", status, EFI_UNSUPPORTED);
    bs->CloseEvent(list[0]);
    bs->CloseEvent(list[1]);

    bs->CreateEvent(EVT_NOTIFY_WAIT, TPL_CALLBACK, third_time, NULL, &event);
    gives("CheckEvent.notify-wait", bs->CheckEvent(event), EFI_NOT_READY);
    gives("CheckEvent.notify-wait-again", bs->CheckEvent(event), EFI_NOT_READY);
    gives("CheckEvent.notify-wait-signals", bs->CheckEvent(event), EFI_SUCCESS);
    holds("CheckEvent.notify-wait-calls", wait_calls == 3);
    gives("WaitForEvent.notify-wait", bs->WaitForEvent(1, &event, &index), EFI_SUCCESS);
    holds("WaitForEvent.notify-wait-calls", wait_calls == 6);
    bs->SignalEvent(event);
    holds("SignalEvent.notify-wait-silent", wait_calls == 6);
    gives("CheckEvent.notify-wait-signalled", bs->CheckEvent(event), EFI_SUCCESS);
    holds("CheckEvent.notify-wait-no-call", wait_calls == 6);
    tpl = bs->RaiseTPL(TPL_CALLBACK);
    status = bs->CheckEvent(event);
    BOOLEAN held = wait_calls == 6;
    bs->RestoreTPL(tpl);
    gives("CheckEvent.notify-wait-at-its-level", status, EFI_NOT_READY);
    holds("CheckEvent.notify-wait-held-back", held);
    holds("RestoreTPL.notify-wait-runs", wait_calls == 7);
    bs->CloseEvent(event);
}

/* At a raised level nothing is printed: consoles may need timers. So results are kept until it is restored. */
static void levels(void) {
    EFI_EVENT low = signalled_by(TPL_CALLBACK, look, "c");
    EFI_EVENT low_two = signalled_by(TPL_CALLBACK, note, "d");
    EFI_EVENT high = signalled_by(TPL_NOTIFY, note, "n");
    BOOLEAN held, held_in_the_middle;
    holds("RaiseTPL.application", current_tpl() == TPL_APPLICATION);

    clear();
    bs->SignalEvent(low);
    holds("SignalEvent.notifies-at-once", wrote("c"));
    holds("SignalEvent.event-given", seen_event == low);
    holds("SignalEvent.at-its-level", seen_tpl == TPL_CALLBACK);
    holds("SignalEvent.level-restored", current_tpl() == TPL_APPLICATION);
    bs->SignalEvent(low);
    holds("SignalEvent.notifies-again", wrote("cc"));

    clear();
    EFI_TPL tpl = bs->RaiseTPL(TPL_NOTIFY);
    bs->SignalEvent(low_two);
    bs->SignalEvent(low);
    bs->SignalEvent(low_two);
    bs->SignalEvent(high);
    held = wrote("");
    EFI_TPL middle = bs->RaiseTPL(TPL_HIGH_LEVEL);
    bs->RestoreTPL(middle);
    held_in_the_middle = wrote("");
    bs->RestoreTPL(tpl);
    holds("RaiseTPL.old-level", tpl == TPL_APPLICATION);
    holds("RaiseTPL.middle-level", middle == TPL_NOTIFY);
    holds("RaiseTPL.holds-back", held);
    holds("RestoreTPL.middle-holds-back", held_in_the_middle);
    holds("RestoreTPL.high-first-in-order-once", wrote("ndc"));

    clear();
    tpl = bs->RaiseTPL(TPL_NOTIFY);
    bs->SignalEvent(low);
    bs->SignalEvent(high);
    bs->RestoreTPL(TPL_CALLBACK);
    held = wrote("n");
    bs->RestoreTPL(tpl);
    holds("RestoreTPL.callback-lets-notify-run", held);
    holds("RestoreTPL.rest", wrote("nc"));

    clear();
    EFI_EVENT nested = signalled_by(TPL_CALLBACK, outer, "o");
    inner_event = high;
    bs->SignalEvent(nested);
    holds("SignalEvent.higher-level-cuts-in", wrote("ono"));
    clear();
    inner_event = low_two;
    bs->SignalEvent(nested);
    holds("SignalEvent.same-level-comes-after", wrote("ood"));

    clear();
    tpl = bs->RaiseTPL(TPL_NOTIFY);
    bs->SignalEvent(low);
    bs->SignalEvent(low_two);
    EFI_STATUS status = bs->CloseEvent(low);
    bs->RestoreTPL(tpl);
    gives("CloseEvent.while-queued", status, EFI_SUCCESS);
    holds("CloseEvent.not-run-any-more", wrote("d"));
    clear();
    bs->SignalEvent(signalled_by(TPL_CALLBACK, close_self, "q"));
    holds("CloseEvent.in-its-own-notification", wrote("q"));
    bs->CloseEvent(low_two);
    bs->CloseEvent(high);
    bs->CloseEvent(nested);
}

static volatile UINTN ticks;

static void EFIAPI tick(EFI_EVENT event, void *context) {
    (void)event;
    (void)context;
    ticks++;
}

static void timed_notification(void) {
    EFI_EVENT event = NULL;
    gives("CreateEvent.timer-notifies",
          bs->CreateEvent(EVT_TIMER | EVT_NOTIFY_SIGNAL, TPL_CALLBACK, tick, NULL, &event), EFI_SUCCESS);
    bs->SetTimer(event, TimerPeriodic, 20 * MILLISECOND);
    bs->Stall(200000);
    EFI_TPL tpl = bs->RaiseTPL(TPL_CALLBACK);
    UINTN before = ticks;
    bs->Stall(200000);
    BOOLEAN held = ticks == before;
    bs->SetTimer(event, TimerCancel, 0);
    bs->RestoreTPL(tpl);
    holds("SetTimer.notifies-during-Stall", before >= 2);
    holds("RaiseTPL.holds-timers-back", held);
    holds("RestoreTPL.timer-once", ticks == before + 1);
    bs->Stall(100000);
    holds("SetTimer.cancelled", ticks == before + 1);
    bs->SetTimer(event, TimerRelative, 20 * MILLISECOND);
    bs->CloseEvent(event);
    bs->Stall(100000);
    holds("CloseEvent.timer", ticks == before + 1);
}

static void groups(void) {
    static const EFI_GUID group = OWN_GUID(0x30);
    static const EFI_GUID exit_group = EXIT_BOOT_SERVICES_GUID;
    const UINT32 notify = EVT_NOTIFY_SIGNAL;
    EFI_EVENT one = NULL, two = NULL, three = NULL, leaving = NULL;
    gives("CreateEventEx.exit-type-in-group",
          bs->CreateEventEx(EVT_SIGNAL_EXIT_BOOT_SERVICES, TPL_CALLBACK, note, "x", &group, &one),
          EFI_INVALID_PARAMETER);
    gives("CreateEventEx.virtual-type-in-group",
          bs->CreateEventEx(EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE, TPL_CALLBACK, note, "x", &group, &one),
          EFI_INVALID_PARAMETER);
    gives("CreateEventEx.no-result", bs->CreateEventEx(notify, TPL_CALLBACK, note, "1", &group, NULL),
          EFI_INVALID_PARAMETER);
    gives("CreateEventEx.no-function", bs->CreateEventEx(notify, TPL_CALLBACK, NULL, "1", &group, &one),
          EFI_INVALID_PARAMETER);
    gives("CreateEventEx.level-0", bs->CreateEventEx(notify, 0, note, "1", &group, &one), EFI_INVALID_PARAMETER);
    gives("CreateEventEx.callback", bs->CreateEventEx(notify, TPL_CALLBACK, note, "1", &group, &one), EFI_SUCCESS);
    gives("CreateEventEx.notify", bs->CreateEventEx(notify, TPL_NOTIFY, note, "2", &group, &two), EFI_SUCCESS);
    gives("CreateEventEx.no-group", bs->CreateEventEx(notify, TPL_CALLBACK, note, "3", NULL, &three), EFI_SUCCESS);
    gives("CreateEventEx.exit-group", bs->CreateEventEx(notify, TPL_CALLBACK, note, "e", &exit_group, &leaving),
          EFI_SUCCESS);
    clear();
    bs->SignalEvent(one);
    holds("SignalEvent.group-by-level", wrote("21"));
    clear();
    bs->SignalEvent(three);
    holds("SignalEvent.no-group", wrote("3"));
    bs->CloseEvent(one);
    clear();
    bs->SignalEvent(two);
    holds("SignalEvent.group-without-closed", wrote("2"));
    bs->CloseEvent(two);
    bs->CloseEvent(three);
    gives("CloseEvent.exit-group", bs->CloseEvent(leaving), EFI_SUCCESS);
}

static void check_events(void) {
    creating_events();
    timers();
    waiting();
    levels();
    timed_notification();
    groups();
}
