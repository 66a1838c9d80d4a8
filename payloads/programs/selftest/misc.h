/* Time, counters, the watchdog, and what is refused as long as there are boot services (7.5, 8.3 to 8.5). */

static void counters(void) {
    UINT64 first = 0, second = 0;
    UINT32 high = 0, higher = 0;
    gives("GetNextMonotonicCount.first", bs->GetNextMonotonicCount(&first), EFI_SUCCESS);
    gives("GetNextMonotonicCount.second", bs->GetNextMonotonicCount(&second), EFI_SUCCESS);
    holds("GetNextMonotonicCount.one-more", second == first + 1);
    gives("GetNextMonotonicCount.no-result", bs->GetNextMonotonicCount(NULL), EFI_INVALID_PARAMETER);
    gives("GetNextHighMonotonicCount.first", rt->GetNextHighMonotonicCount(&high), EFI_SUCCESS);
    gives("GetNextHighMonotonicCount.second", rt->GetNextHighMonotonicCount(&higher), EFI_SUCCESS);
    holds("GetNextHighMonotonicCount.one-more", higher == high + 1);
    gives("GetNextHighMonotonicCount.no-result", rt->GetNextHighMonotonicCount(NULL), EFI_INVALID_PARAMETER);
    bs->GetNextMonotonicCount(&second);
    holds("GetNextMonotonicCount.high-half", (UINT32)(second >> 32) == higher);
}

/* Seconds since the month began: enough to compare two moments of one run, its turn apart. */
static UINT32 seconds(const EFI_TIME *time) {
    return ((time->Day * 24u + time->Hour) * 60 + time->Minute) * 60 + time->Second;
}

static void time(void) {
    EFI_TIME now = {0}, later = {0};
    EFI_TIME_CAPABILITIES capabilities = {0};
    gives("GetTime.no-result", rt->GetTime(NULL, NULL), EFI_INVALID_PARAMETER);
    gives("GetTime.no-capabilities", rt->GetTime(&now, NULL), EFI_SUCCESS);
    gives("GetTime.capabilities", rt->GetTime(&now, &capabilities), EFI_SUCCESS);
    holds("GetTime.in-range", plausible(&now));
    holds("GetTime.zone",
          now.TimeZone == EFI_UNSPECIFIED_TIMEZONE || (now.TimeZone >= -1440 && now.TimeZone <= 1440));
    holds("GetTime.daylight", (now.Daylight & ~3) == 0);
    holds("GetTime.resolution", capabilities.Resolution >= 1);
    gives("Stall.two-seconds", bs->Stall(2000000), EFI_SUCCESS);
    rt->GetTime(&later, NULL);
    UINT32 passed = seconds(&later) - seconds(&now);
    holds("Stall.time-passes", now.Month != later.Month || (passed >= 1 && passed <= 60));
    gives("Stall.nothing", bs->Stall(0), EFI_SUCCESS);
}

static EFI_TIME wrong_time;

static EFI_STATUS set_wrong(void) {
    EFI_STATUS status = rt->SetTime(&wrong_time);
    rt->GetTime(&wrong_time, NULL);
    return status;
}

static void setting_time(void) {
    EFI_TIME now = {0}, later = {0};
    rt->GetTime(&now, NULL);
    wrong_time = now;
    gives("SetTime.no-time", rt->SetTime(NULL), EFI_INVALID_PARAMETER);
    wrong_time.Month = 13;
    gives("SetTime.month-13", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.Month = 0;
    gives("SetTime.month-0", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.Day = 32;
    gives("SetTime.day-32", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.Day = 0;
    gives("SetTime.day-0", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.Year = 2023;
    wrong_time.Month = 2;
    wrong_time.Day = 29;
    gives("SetTime.29-February-2023", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.Hour = 24;
    gives("SetTime.hour-24", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.Minute = 60;
    gives("SetTime.minute-60", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.Second = 60;
    gives("SetTime.second-60", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.Nanosecond = 1000000000;
    gives("SetTime.a-second-of-nanoseconds", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.TimeZone = 1441;
    gives("SetTime.zone-1441", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.TimeZone = -1441;
    gives("SetTime.zone-minus-1441", set_wrong(), EFI_INVALID_PARAMETER);
    wrong_time.Daylight = 4;
    gives("SetTime.daylight-4", set_wrong(), EFI_INVALID_PARAMETER);
    rt->GetTime(&now, NULL);
    gives("SetTime.now", rt->SetTime(&now), EFI_SUCCESS);
    rt->GetTime(&later, NULL);
    holds("SetTime.hardly-changed", now.Month != later.Month || seconds(&later) - seconds(&now) <= 60);
}

static void too_early(void) {
    void *pointer = never;
    gives("SetVirtualAddressMap.boot-time", rt->SetVirtualAddressMap(0, sizeof(EFI_MEMORY_DESCRIPTOR), 1, NULL),
          EFI_UNSUPPORTED);
    gives_either("ConvertPointer.boot-time", rt->ConvertPointer(0, &pointer), EFI_UNSUPPORTED, EFI_NOT_FOUND);
    holds("ConvertPointer.not-changed", pointer == never);
    refused("UpdateCapsule.none", rt->UpdateCapsule(NULL, 0, 0));
}

static void check_misc(void) {
    counters();
    time();
    setting_time();
    gives("SetWatchdogTimer.set", bs->SetWatchdogTimer(300, 0x10000, 0, NULL), EFI_SUCCESS);
    gives("SetWatchdogTimer.set-again", bs->SetWatchdogTimer(300, 0x10000, 0, NULL), EFI_SUCCESS);
    gives("SetWatchdogTimer.off", bs->SetWatchdogTimer(0, 0, 0, NULL), EFI_SUCCESS);
    too_early();
}
