/* The console: modes, colours, the cursor, and a keyboard that nobody types on (12.3, 12.4). */

static void output(EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL *out) {
    UINTN columns = 0, rows = 0;
    const UINTN modes = (UINTN)out->Mode->MaxMode;
    holds("SimpleTextOutput.Mode", out->Mode->Mode >= 0 && out->Mode->Mode < out->Mode->MaxMode);
    gives("SimpleTextOutput.QueryMode.0", out->QueryMode(out, 0, &columns, &rows), EFI_SUCCESS);
    holds("SimpleTextOutput.QueryMode.80-by-25", columns == 80 && rows == 25);
    gives("SimpleTextOutput.QueryMode.MaxMode", out->QueryMode(out, modes, &columns, &rows), EFI_UNSUPPORTED);
    gives("SimpleTextOutput.QueryMode.all-ones", out->QueryMode(out, ~(UINTN)0, &columns, &rows), EFI_UNSUPPORTED);
    gives("SimpleTextOutput.SetMode.MaxMode", out->SetMode(out, modes), EFI_UNSUPPORTED);
    gives("SimpleTextOutput.SetMode.all-ones", out->SetMode(out, ~(UINTN)0), EFI_UNSUPPORTED);
    gives("SimpleTextOutput.TestString", out->TestString(out, u"abc"), EFI_SUCCESS);
    const INT32 colours = out->Mode->Attribute;
    gives("SimpleTextOutput.SetAttribute.0x80", out->SetAttribute(out, 0x80), EFI_UNSUPPORTED);
    gives("SimpleTextOutput.SetAttribute.0x100", out->SetAttribute(out, 0x100), EFI_UNSUPPORTED);
    holds("SimpleTextOutput.Attribute.unchanged", out->Mode->Attribute == colours);
    EFI_STATUS status = out->SetAttribute(out, 0x1f);
    BOOLEAN changed = out->Mode->Attribute == 0x1f;
    out->SetAttribute(out, (UINTN)colours);
    gives("SimpleTextOutput.SetAttribute.0x1f", status, EFI_SUCCESS);
    holds("SimpleTextOutput.Attribute.0x1f", changed);
    out->QueryMode(out, (UINTN)out->Mode->Mode, &columns, &rows);
    gives("SimpleTextOutput.SetCursorPosition.column", out->SetCursorPosition(out, columns, 0), EFI_UNSUPPORTED);
    gives("SimpleTextOutput.SetCursorPosition.row", out->SetCursorPosition(out, 0, rows), EFI_UNSUPPORTED);
    holds("SimpleTextOutput.CursorColumn.line-start", out->Mode->CursorColumn == 0);
    out->OutputString(out, u"abc");
    INT32 column = out->Mode->CursorColumn;
    out->OutputString(out, u"\b");
    INT32 back = out->Mode->CursorColumn;
    out->OutputString(out, u"\r\n");
    holds("SimpleTextOutput.CursorColumn.three-on", column == 3);
    holds("SimpleTextOutput.CursorColumn.one-back", back == 2);
    holds("SimpleTextOutput.CursorColumn.next-line", out->Mode->CursorColumn == 0);
}

static void input(EFI_SIMPLE_TEXT_INPUT_PROTOCOL *in) {
    EFI_INPUT_KEY key;
    gives("SimpleTextInput.Reset", in->Reset(in, FALSE), EFI_SUCCESS);
    gives("SimpleTextInput.ReadKeyStroke.none", in->ReadKeyStroke(in, &key), EFI_NOT_READY);
    gives("SimpleTextInput.WaitForKey.none", bs->CheckEvent(in->WaitForKey), EFI_NOT_READY);
}

/* EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL (12.2). */
typedef struct {
    EFI_INPUT_KEY Key;
    UINT32 KeyShiftState;
    UINT8 KeyToggleState;
} EFI_KEY_DATA;

typedef EFI_STATUS(EFIAPI *EFI_KEY_NOTIFY_FUNCTION)(EFI_KEY_DATA *);

typedef struct EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL {
    EFI_STATUS(EFIAPI *Reset)(struct EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL *, BOOLEAN);
    EFI_STATUS(EFIAPI *ReadKeyStrokeEx)(struct EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL *, EFI_KEY_DATA *);
    EFI_EVENT WaitForKeyEx;
    EFI_STATUS(EFIAPI *SetState)(struct EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL *, UINT8 *);
    EFI_STATUS(EFIAPI *RegisterKeyNotify)(struct EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL *, EFI_KEY_DATA *,
                                          EFI_KEY_NOTIFY_FUNCTION, void **);
    EFI_STATUS(EFIAPI *UnregisterKeyNotify)(struct EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL *, void *);
} EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL;

static EFI_STATUS EFIAPI key_pressed(EFI_KEY_DATA *data) {
    (void)data;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI other_key_pressed(EFI_KEY_DATA *data) {
    (void)data;
    return EFI_NOT_FOUND;
}

static void key_notification(EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL *in) {
    EFI_KEY_DATA key = {{0, 'x'}, 0, 0};
    void *first = NULL, *again = NULL, *other = NULL;
    gives("SimpleTextInputEx.RegisterKeyNotify.no-key", in->RegisterKeyNotify(in, NULL, key_pressed, &first),
          EFI_INVALID_PARAMETER);
    gives("SimpleTextInputEx.RegisterKeyNotify.no-function", in->RegisterKeyNotify(in, &key, NULL, &first),
          EFI_INVALID_PARAMETER);
    gives("SimpleTextInputEx.RegisterKeyNotify.no-result", in->RegisterKeyNotify(in, &key, key_pressed, NULL),
          EFI_INVALID_PARAMETER);
    gives("SimpleTextInputEx.RegisterKeyNotify.new", in->RegisterKeyNotify(in, &key, key_pressed, &first),
          EFI_SUCCESS);
    gives("SimpleTextInputEx.RegisterKeyNotify.other", in->RegisterKeyNotify(in, &key, other_key_pressed, &other),
          EFI_SUCCESS);
    holds("SimpleTextInputEx.RegisterKeyNotify.apart", first && other && first != other);
    gives("SimpleTextInputEx.RegisterKeyNotify.again", in->RegisterKeyNotify(in, &key, key_pressed, &again),
          EFI_SUCCESS);
    gives("SimpleTextInputEx.UnregisterKeyNotify.never", in->UnregisterKeyNotify(in, never), EFI_INVALID_PARAMETER);
    gives("SimpleTextInputEx.UnregisterKeyNotify.NULL", in->UnregisterKeyNotify(in, NULL), EFI_INVALID_PARAMETER);
    gives("SimpleTextInputEx.UnregisterKeyNotify.first", in->UnregisterKeyNotify(in, first), EFI_SUCCESS);
    gives("SimpleTextInputEx.UnregisterKeyNotify.other", in->UnregisterKeyNotify(in, other), EFI_SUCCESS);
}

static void input_ex(void) {
    static const EFI_GUID guid = {0xdd9e7534, 0x7762, 0x4698, {0x8c, 0x14, 0xf5, 0x85, 0x17, 0xa6, 0x25, 0xaa}};
    EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL *in = NULL;
    EFI_KEY_DATA data;
    UINT8 toggles = 0;
    gives("HandleProtocol.SimpleTextInputEx", bs->HandleProtocol(st->ConsoleInHandle, &guid, (void **)&in),
          EFI_SUCCESS);
    if (!in)
        return;
    gives("SimpleTextInputEx.Reset", in->Reset(in, FALSE), EFI_SUCCESS);
    memset(&data, 0x5a, sizeof data);
    gives("SimpleTextInputEx.ReadKeyStrokeEx.none", in->ReadKeyStrokeEx(in, &data), EFI_NOT_READY);
    holds("SimpleTextInputEx.ReadKeyStrokeEx.no-key", data.Key.ScanCode == 0 && data.Key.UnicodeChar == 0);
    gives("SimpleTextInputEx.ReadKeyStrokeEx.no-result", in->ReadKeyStrokeEx(in, NULL), EFI_INVALID_PARAMETER);
    gives("SimpleTextInputEx.WaitForKeyEx.none", bs->CheckEvent(in->WaitForKeyEx), EFI_NOT_READY);
    gives("SimpleTextInputEx.SetState.no-state", in->SetState(in, NULL), EFI_INVALID_PARAMETER);
    gives("SimpleTextInputEx.SetState.not-valid", in->SetState(in, &toggles), EFI_UNSUPPORTED);
    toggles = 0x80;
    gives("SimpleTextInputEx.SetState.all-off", in->SetState(in, &toggles), EFI_SUCCESS);
    key_notification(in);
}

static void check_console(void) {
    output(st->ConOut);
    input(st->ConIn);
    input_ex();
}
