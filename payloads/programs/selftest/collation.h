/* Text compared and folded as English has it, in both versions of the protocol (12.10). */

typedef struct EFI_UNICODE_COLLATION_PROTOCOL {
    INTN(EFIAPI *StriColl)(struct EFI_UNICODE_COLLATION_PROTOCOL *, const CHAR16 *, const CHAR16 *);
    BOOLEAN(EFIAPI *MetaiMatch)(struct EFI_UNICODE_COLLATION_PROTOCOL *, const CHAR16 *, const CHAR16 *);
    void(EFIAPI *StrLwr)(struct EFI_UNICODE_COLLATION_PROTOCOL *, CHAR16 *);
    void(EFIAPI *StrUpr)(struct EFI_UNICODE_COLLATION_PROTOCOL *, CHAR16 *);
    void(EFIAPI *FatToStr)(struct EFI_UNICODE_COLLATION_PROTOCOL *, UINTN, const CHAR8 *, CHAR16 *);
    BOOLEAN(EFIAPI *StrToFat)(struct EFI_UNICODE_COLLATION_PROTOCOL *, const CHAR16 *, UINTN, CHAR8 *);
    const CHAR8 *SupportedLanguages;
} EFI_UNICODE_COLLATION_PROTOCOL;

static const struct {
    const char *name;
    CHAR16 text[12], pattern[12];
    BOOLEAN matches;
} patterns[] = {
    {"UnicodeCollation.MetaiMatch.same", u"abc", u"abc", TRUE},
    {"UnicodeCollation.MetaiMatch.other-case", u"aBc", u"AbC", TRUE},
    {"UnicodeCollation.MetaiMatch.shorter", u"ab", u"abc", FALSE},
    {"UnicodeCollation.MetaiMatch.longer", u"abcd", u"abc", FALSE},
    {"UnicodeCollation.MetaiMatch.nothing", u"", u"", TRUE},
    {"UnicodeCollation.MetaiMatch.star", u"abc", u"*", TRUE},
    {"UnicodeCollation.MetaiMatch.star-nothing", u"", u"*", TRUE},
    {"UnicodeCollation.MetaiMatch.star-end", u"file.efi", u"*.EFI", TRUE},
    {"UnicodeCollation.MetaiMatch.star-begin", u"file.efi", u"f*", TRUE},
    {"UnicodeCollation.MetaiMatch.star-middle", u"file.efi", u"f*i", TRUE},
    {"UnicodeCollation.MetaiMatch.two-stars", u"xaybz", u"*a*b*", TRUE},
    {"UnicodeCollation.MetaiMatch.stars-order", u"xbyaz", u"*a*b*", FALSE},
    {"UnicodeCollation.MetaiMatch.star-again", u"aXbaXc", u"*aXc", TRUE},
    {"UnicodeCollation.MetaiMatch.question", u"abc", u"a?c", TRUE},
    {"UnicodeCollation.MetaiMatch.question-none", u"ab", u"ab?", FALSE},
    {"UnicodeCollation.MetaiMatch.set", u"abc", u"a[xyb]c", TRUE},
    {"UnicodeCollation.MetaiMatch.set-not", u"abc", u"a[xyz]c", FALSE},
    {"UnicodeCollation.MetaiMatch.range", u"a5c", u"a[0-9]c", TRUE},
    {"UnicodeCollation.MetaiMatch.range-not", u"axc", u"a[0-9]c", FALSE},
    {"UnicodeCollation.MetaiMatch.range-case", u"aMc", u"a[a-z]c", TRUE},
};

static void comparing(EFI_UNICODE_COLLATION_PROTOCOL *english) {
    holds("UnicodeCollation.StriColl.same", english->StriColl(english, u"Boot", u"Boot") == 0);
    holds("UnicodeCollation.StriColl.other-case", english->StriColl(english, u"bOOT", u"Boot") == 0);
    holds("UnicodeCollation.StriColl.less", english->StriColl(english, u"abc", u"abd") < 0);
    holds("UnicodeCollation.StriColl.greater", english->StriColl(english, u"abd", u"ABC") > 0);
    holds("UnicodeCollation.StriColl.shorter", english->StriColl(english, u"ab", u"abc") < 0);
    holds("UnicodeCollation.StriColl.longer", english->StriColl(english, u"abc", u"ab") > 0);
    holds("UnicodeCollation.StriColl.nothing", english->StriColl(english, u"", u"") == 0);
    for (UINTN i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        holds(patterns[i].name, (english->MetaiMatch(english, patterns[i].text, patterns[i].pattern) != 0) ==
                                    patterns[i].matches);
}

static void folding(EFI_UNICODE_COLLATION_PROTOCOL *english) {
    CHAR16 text[] = u"aZ09-\u00e9\u00c9";
    english->StrUpr(english, text);
    holds("UnicodeCollation.StrUpr", same(text, u"AZ09-\u00c9\u00c9", sizeof text));
    english->StrLwr(english, text);
    holds("UnicodeCollation.StrLwr", same(text, u"az09-\u00e9\u00e9", sizeof text));
    CHAR16 wide[16];
    memset(wide, 0x5a, sizeof wide);
    english->FatToStr(english, 8, "BOOT", wide);
    holds("UnicodeCollation.FatToStr.to-NUL", same(wide, u"BOOT", 10) && wide[5] == 0x5a5a);
    english->FatToStr(english, 3, "BOOTX64", wide);
    holds("UnicodeCollation.FatToStr.so-many", same(wide, u"BOO", 8));
    char fat[16];
    memset(fat, 0x5a, sizeof fat);
    holds("UnicodeCollation.StrToFat.fits", !english->StrToFat(english, u"boot", 8, fat));
    holds("UnicodeCollation.StrToFat.capitals", same(fat, "BOOT", 4));
    holds("UnicodeCollation.StrToFat.dots-and-spaces", !english->StrToFat(english, u"a. b.c", 8, fat));
    holds("UnicodeCollation.StrToFat.left-out", same(fat, "ABC", 3));
    memset(fat, 0x5a, sizeof fat);
    holds("UnicodeCollation.StrToFat.long", !english->StrToFat(english, u"abcdefghij", 8, fat));
    holds("UnicodeCollation.StrToFat.so-many", same(fat, "ABCDEFGH", 8) && fat[8] == 0x5a);
    holds("UnicodeCollation.StrToFat.replaced", english->StrToFat(english, u"a+b\u4e00", 8, fat));
    holds("UnicodeCollation.StrToFat.with-lines", same(fat, "A_B_", 4));
}

static BOOLEAN begins(const CHAR8 *text, const char *with, UINTN length) {
    for (UINTN i = 0; i < length; i++)
        if (!text || text[i] != with[i])
            return FALSE;
    return TRUE;
}

static void check_collation(void) {
    static const EFI_GUID older = {0x1d85cd7f, 0xf43d, 0x11d2, {0x9a, 0x0c, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};
    static const EFI_GUID newer = {0xa4c751fc, 0x23ae, 0x4c3e, {0x92, 0xe9, 0x49, 0x64, 0xcf, 0x63, 0xf3, 0x49}};
    EFI_UNICODE_COLLATION_PROTOCOL *english = NULL, *old = NULL;
    if (EFI_ERROR(bs->LocateProtocol(&newer, NULL, (void **)&english))) {
        say("No UnicodeCollation2 here: collation is not checked.\n");
        return;
    }
    holds("UnicodeCollation.SupportedLanguages", begins(english->SupportedLanguages, "en", 2));
    comparing(english);
    folding(english);
    if (!EFI_ERROR(bs->LocateProtocol(&older, NULL, (void **)&old)))
        holds("UnicodeCollation.older-StriColl", old->StriColl(old, u"bOOT", u"Boot") == 0);
}
