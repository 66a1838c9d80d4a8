/* The TPM, where there is one (TCG EFI Protocol Specification, chapter 6). PCR 16, which is for trials, is extended. */

typedef struct {
    UINT8 Size, StructureMajor, StructureMinor, ProtocolMajor, ProtocolMinor;
    UINT32 HashAlgorithmBitmap, SupportedEventLogs;
    BOOLEAN TPMPresentFlag;
    UINT16 MaxCommandSize, MaxResponseSize;
    UINT32 ManufacturerID, NumberOfPCRBanks, ActivePcrBanks;
} EFI_TCG2_BOOT_SERVICE_CAPABILITY;

#pragma pack(push, 1)
typedef struct {
    UINT32 Size;
    UINT32 HeaderSize;
    UINT16 HeaderVersion;
    UINT32 PCRIndex;
    UINT32 EventType;
    UINT8 Event[8];
} EFI_TCG2_EVENT;
#pragma pack(pop)

typedef struct EFI_TCG2_PROTOCOL {
    EFI_STATUS(EFIAPI *GetCapability)(struct EFI_TCG2_PROTOCOL *, EFI_TCG2_BOOT_SERVICE_CAPABILITY *);
    EFI_STATUS(EFIAPI *GetEventLog)(struct EFI_TCG2_PROTOCOL *, UINT32, UINT64 *, UINT64 *, BOOLEAN *);
    EFI_STATUS(EFIAPI *HashLogExtendEvent)(struct EFI_TCG2_PROTOCOL *, UINT64, UINT64, UINT64, EFI_TCG2_EVENT *);
    EFI_STATUS(EFIAPI *SubmitCommand)(struct EFI_TCG2_PROTOCOL *, UINT32, const UINT8 *, UINT32, UINT8 *);
    EFI_STATUS(EFIAPI *GetActivePcrBanks)(struct EFI_TCG2_PROTOCOL *, UINT32 *);
    EFI_STATUS(EFIAPI *SetActivePcrBanks)(struct EFI_TCG2_PROTOCOL *, UINT32);
    EFI_STATUS(EFIAPI *GetResultOfSetActivePcrBanks)(struct EFI_TCG2_PROTOCOL *, UINT32 *, UINT32 *);
} EFI_TCG2_PROTOCOL;

#define TRIAL_PCR 16
#define EV_EVENT_TAG 6
static EFI_TCG2_EVENT measured = {sizeof measured, 14, 1, TRIAL_PCR, EV_EVENT_TAG, "selftes"};
static EFI_TCG2_PROTOCOL *tcg2;
static EFI_TCG2_BOOT_SERVICE_CAPABILITY able;

static EFI_STATUS capability(UINT8 room) {
    memset(&able, 0, sizeof able);
    able.Size = room;
    return tcg2->GetCapability(tcg2, &able);
}

static void tpm_capability(void) {
    const UINT8 whole = sizeof able;
    gives("Tcg2.GetCapability.no-result", tcg2->GetCapability(tcg2, NULL), EFI_INVALID_PARAMETER);
    gives("Tcg2.GetCapability.no-room", capability(0), EFI_BUFFER_TOO_SMALL);
    holds("Tcg2.GetCapability.room-it-takes", able.Size == whole);
    gives("Tcg2.GetCapability.size-alone", capability(1), EFI_BUFFER_TOO_SMALL);
    gives("Tcg2.GetCapability.version-1.0", capability(28), EFI_SUCCESS);
    holds("Tcg2.GetCapability.version-1.0-size", able.Size == 28);
    holds("Tcg2.GetCapability.version-1.0-told", able.StructureMajor == 1 && able.StructureMinor == 0);
    holds("Tcg2.GetCapability.version-1.0-no-more", able.NumberOfPCRBanks == 0 && able.ActivePcrBanks == 0);
    gives("Tcg2.GetCapability.whole", capability(whole), EFI_SUCCESS);
    holds("Tcg2.GetCapability.whole-size", able.Size == whole);
    holds("Tcg2.GetCapability.version-1.1", able.StructureMajor == 1 && able.StructureMinor == 1 &&
                                                able.ProtocolMajor == 1 && able.ProtocolMinor == 1);
    holds("Tcg2.GetCapability.TPM-present", able.TPMPresentFlag);
    holds("Tcg2.GetCapability.crypto-agile-log", able.SupportedEventLogs & 2);
    holds("Tcg2.GetCapability.banks-among-algorithms",
          able.ActivePcrBanks && !(able.ActivePcrBanks & ~able.HashAlgorithmBitmap));
    holds("Tcg2.GetCapability.commands", able.MaxCommandSize >= 1024 && able.MaxResponseSize >= 1024);
}

static void tpm_banks(void) {
    UINT32 active = 0, present = 9, response = 9;
    gives("Tcg2.GetActivePcrBanks.no-result", tcg2->GetActivePcrBanks(tcg2, NULL), EFI_INVALID_PARAMETER);
    gives("Tcg2.GetActivePcrBanks.told", tcg2->GetActivePcrBanks(tcg2, &active), EFI_SUCCESS);
    holds("Tcg2.GetActivePcrBanks.as-capability", active == able.ActivePcrBanks);
    gives("Tcg2.SetActivePcrBanks.none", tcg2->SetActivePcrBanks(tcg2, 0), EFI_INVALID_PARAMETER);
    gives("Tcg2.SetActivePcrBanks.unknown", tcg2->SetActivePcrBanks(tcg2, 0x80000000), EFI_INVALID_PARAMETER);
    gives("Tcg2.SetActivePcrBanks.same", tcg2->SetActivePcrBanks(tcg2, active), EFI_SUCCESS);
    gives("Tcg2.GetResultOfSetActivePcrBanks.no-result", tcg2->GetResultOfSetActivePcrBanks(tcg2, NULL, &response),
          EFI_INVALID_PARAMETER);
    gives("Tcg2.GetResultOfSetActivePcrBanks.no-response", tcg2->GetResultOfSetActivePcrBanks(tcg2, &present, NULL),
          EFI_INVALID_PARAMETER);
    gives("Tcg2.GetResultOfSetActivePcrBanks.told", tcg2->GetResultOfSetActivePcrBanks(tcg2, &present, &response),
          EFI_SUCCESS);
    holds("Tcg2.GetResultOfSetActivePcrBanks.no-request", present == 0 && response == 0);
}

static UINT64 last_entry(void) {
    UINT64 start = 0, last = 0;
    BOOLEAN truncated = 2;
    tcg2->GetEventLog(tcg2, 2, &start, &last, &truncated);
    return last;
}

static void tpm_logs(void) {
    UINT64 start = 0, last = 0;
    BOOLEAN truncated = 2;
    gives("Tcg2.GetEventLog.format-0", tcg2->GetEventLog(tcg2, 0, &start, &last, &truncated), EFI_INVALID_PARAMETER);
    gives("Tcg2.GetEventLog.format-4", tcg2->GetEventLog(tcg2, 4, &start, &last, &truncated), EFI_INVALID_PARAMETER);
    gives("Tcg2.GetEventLog.two-formats", tcg2->GetEventLog(tcg2, 3, &start, &last, &truncated),
          EFI_INVALID_PARAMETER);
    gives("Tcg2.GetEventLog.crypto-agile", tcg2->GetEventLog(tcg2, 2, &start, &last, &truncated), EFI_SUCCESS);
    holds("Tcg2.GetEventLog.places", start && last > start);
    holds("Tcg2.GetEventLog.whole", truncated == FALSE);
    /* A header as of version 1.2: PCR 0, EV_NO_ACTION, a digest of zeros, and its length; then the signature. */
    holds("Tcg2.GetEventLog.signature", start && same((void *)(UINTN)(start + 32), "Spec ID Event03", 16));
}

static EFI_STATUS extend(UINT64 flags, const void *data, UINT64 length) {
    return tcg2->HashLogExtendEvent(tcg2, flags, (UINTN)data, length, &measured);
}

static void measuring(void) {
    UINT64 before = last_entry();
    gives("Tcg2.HashLogExtendEvent.no-event", tcg2->HashLogExtendEvent(tcg2, 0, (UINTN)never, 8, NULL),
          EFI_INVALID_PARAMETER);
    gives("Tcg2.HashLogExtendEvent.no-data", extend(0, NULL, 8), EFI_INVALID_PARAMETER);
    measured.PCRIndex = 24;
    gives("Tcg2.HashLogExtendEvent.PCR-24", extend(0, "abc", 3), EFI_INVALID_PARAMETER);
    measured.PCRIndex = TRIAL_PCR;
    measured.Size = 17;
    gives("Tcg2.HashLogExtendEvent.size-below-header", extend(0, "abc", 3), EFI_INVALID_PARAMETER);
    measured.Size = sizeof measured;
    gives("Tcg2.HashLogExtendEvent.no-image", extend(0x10, never, sizeof never), EFI_UNSUPPORTED);
    holds("Tcg2.HashLogExtendEvent.nothing-logged", last_entry() == before);
    gives("Tcg2.HashLogExtendEvent.extend-only", extend(1, "abc", 3), EFI_SUCCESS);
    holds("Tcg2.HashLogExtendEvent.not-logged", last_entry() == before);
    gives("Tcg2.HashLogExtendEvent.logged", extend(0, "abc", 3), EFI_SUCCESS);
    const UINT32 *entry = (const void *)(UINTN)last_entry();
    holds("Tcg2.HashLogExtendEvent.one-more", last_entry() > before);
    holds("Tcg2.HashLogExtendEvent.register-and-type", entry && entry[0] == TRIAL_PCR && entry[1] == EV_EVENT_TAG);
    gives("Tcg2.HashLogExtendEvent.image", extend(0x10, child, sizeof child), EFI_SUCCESS);
    gives("Tcg2.HashLogExtendEvent.no-bytes", extend(0, "abc", 0), EFI_SUCCESS);
}

static UINT32 big_endian(const UINT8 *at) {
    return (UINT32)at[0] << 24 | (UINT32)at[1] << 16 | (UINT32)at[2] << 8 | at[3];
}

static void commanding(void) {
    /* TPM2_GetRandom of 8 bytes. */
    static const UINT8 command[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8};
    static const UINT8 unknown[] = {0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x0f, 0xff};
    UINT8 answer[64] = {0};
    const UINT32 room = sizeof answer, size = sizeof command;
    gives("Tcg2.SubmitCommand.GetRandom", tcg2->SubmitCommand(tcg2, size, command, room, answer), EFI_SUCCESS);
    holds("Tcg2.SubmitCommand.answer", big_endian(answer + 2) == 20 && big_endian(answer + 6) == 0);
    gives("Tcg2.SubmitCommand.unknown", tcg2->SubmitCommand(tcg2, sizeof unknown, unknown, room, answer), EFI_SUCCESS);
    holds("Tcg2.SubmitCommand.unknown-refused", big_endian(answer + 6) != 0);
    gives("Tcg2.SubmitCommand.no-command", tcg2->SubmitCommand(tcg2, 0, command, room, answer), EFI_INVALID_PARAMETER);
    gives("Tcg2.SubmitCommand.no-block", tcg2->SubmitCommand(tcg2, size, NULL, room, answer), EFI_INVALID_PARAMETER);
    gives("Tcg2.SubmitCommand.no-room", tcg2->SubmitCommand(tcg2, size, command, 0, answer), EFI_INVALID_PARAMETER);
    gives("Tcg2.SubmitCommand.no-answer", tcg2->SubmitCommand(tcg2, size, command, room, NULL),
          EFI_INVALID_PARAMETER);
    gives("Tcg2.SubmitCommand.too-long",
          tcg2->SubmitCommand(tcg2, able.MaxCommandSize + 1u, command, room, answer), EFI_INVALID_PARAMETER);
    gives("Tcg2.SubmitCommand.room-too-small", tcg2->SubmitCommand(tcg2, size, command, 12, answer),
          EFI_BUFFER_TOO_SMALL);
}

static void check_tcg2(void) {
    static const EFI_GUID guid = {0x607f766c, 0x7455, 0x42be, {0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f}};
    if (EFI_ERROR(bs->LocateProtocol(&guid, NULL, (void **)&tcg2))) {
        say("No TPM 2.0 here: its protocol is not checked.\n");
        return;
    }
    tpm_capability();
    tpm_banks();
    tpm_logs();
    measuring();
    commanding();
}
