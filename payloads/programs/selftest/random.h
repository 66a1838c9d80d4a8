/* Random numbers, where there is a source of them (37.5). */

typedef struct EFI_RNG_PROTOCOL {
    EFI_STATUS(EFIAPI *GetInfo)(struct EFI_RNG_PROTOCOL *, UINTN *, EFI_GUID *);
    EFI_STATUS(EFIAPI *GetRNG)(struct EFI_RNG_PROTOCOL *, const EFI_GUID *, UINTN, void *);
} EFI_RNG_PROTOCOL;

static void check_random(void) {
    static const EFI_GUID guid = {0x3152bca5, 0xeade, 0x433d, {0x86, 0x2e, 0xc0, 0x1c, 0xdc, 0x29, 0x1f, 0x44}};
    EFI_RNG_PROTOCOL *rng = NULL;
    EFI_GUID algorithms[16];
    UINT8 drawn[2][40];
    UINTN size = 0, needed;
    if (EFI_ERROR(bs->LocateProtocol(&guid, NULL, (void **)&rng))) {
        say("No source of random numbers here: it is not checked.\n");
        return;
    }
    gives("Rng.GetInfo.no-room", rng->GetInfo(rng, &size, NULL), EFI_BUFFER_TOO_SMALL);
    needed = size;
    holds("Rng.GetInfo.room-it-takes", size >= 16 && size % 16 == 0);
    gives("Rng.GetInfo.no-size", rng->GetInfo(rng, NULL, algorithms), EFI_INVALID_PARAMETER);
    size = needed - 1;
    gives("Rng.GetInfo.one-byte-short", rng->GetInfo(rng, &size, algorithms), EFI_BUFFER_TOO_SMALL);
    size = sizeof algorithms;
    gives("Rng.GetInfo.all", rng->GetInfo(rng, &size, algorithms), EFI_SUCCESS);
    holds("Rng.GetInfo.size", size == needed);
    memset(drawn, 0x5a, sizeof drawn);
    gives("Rng.GetRNG.default", rng->GetRNG(rng, NULL, 32, drawn[0]), EFI_SUCCESS);
    gives("Rng.GetRNG.first-algorithm", rng->GetRNG(rng, algorithms, 32, drawn[1]), EFI_SUCCESS);
    holds("Rng.GetRNG.not-the-same", !same(drawn[0], drawn[1], 32));
    holds("Rng.GetRNG.no-overrun", drawn[0][32] == 0x5a && drawn[1][32] == 0x5a);
    gives("Rng.GetRNG.one-byte", rng->GetRNG(rng, NULL, 1, drawn[0]), EFI_SUCCESS);
    gives("Rng.GetRNG.unknown-algorithm", rng->GetRNG(rng, &guid_unused, 32, drawn[0]), EFI_UNSUPPORTED);
    gives("Rng.GetRNG.nothing", rng->GetRNG(rng, NULL, 0, drawn[0]), EFI_INVALID_PARAMETER);
    gives("Rng.GetRNG.no-buffer", rng->GetRNG(rng, NULL, 32, NULL), EFI_INVALID_PARAMETER);
}
