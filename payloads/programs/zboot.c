/*
 * Unpacks the program that lies within it, by its zboot header, and starts it as an image of its own.
 *
 * This is how Linux's zboot images were in 6.1 (drivers/firmware/efi/libstub/zboot.c): the payload is found by offset
 * and size in the file's header, unpacked to memory, loaded with LoadImage, given the load options, and started. The
 * compression is gzip's (RFC 1951 and 1952). By itself it has no payload.
 *
 * Outcome: returned EFI_LOAD_ERROR.
 */
#include "support.h"

#define PAGE 4096
#define MOST_BITS 15
#define LITERALS 288
#define DISTANCES 32

static const EFI_GUID loaded_image_guid = LOADED_IMAGE_GUID;

/* What has been read of the input, what has been written of the output. */
typedef struct {
    const UINT8 *in;
    UINTN in_size, in_at;
    UINT8 *out;
    UINTN out_size, out_at;
    UINT32 bits, bit_count;
    BOOLEAN bad;
} STREAM;

/* A Huffman code: by the next bits of the input, the symbol, and in the lower half-byte how many bits it takes. */
typedef union {
    UINT16 symbol[1 << MOST_BITS];
    UINT64 words[1 << (MOST_BITS - 2)];
} CODE;

/* Have that many bits at hand, of zeroes behind the end. */
static void fill(STREAM *stream, UINT32 count) {
    while (stream->bit_count < count) {
        if (stream->in_at < stream->in_size)
            stream->bits |= (UINT32)stream->in[stream->in_at] << stream->bit_count;
        stream->in_at++;
        stream->bit_count += 8;
    }
}

static UINT32 take(STREAM *stream, UINT32 count) {
    UINT32 value;
    fill(stream, count);
    value = stream->bits & ((1u << count) - 1);
    stream->bits >>= count;
    stream->bit_count -= count;
    stream->bad |= stream->in_at > stream->in_size + 4;
    return value;
}

static void put(STREAM *stream, UINT8 byte) {
    if (stream->out_at >= stream->out_size)
        stream->bad = TRUE;
    else
        stream->out[stream->out_at++] = byte;
}

/* The code of which the lengths are given (RFC 1951, 3.2.2). Its bits come in reverse. */
static void make(CODE *code, const UINT8 *lengths, UINT32 count) {
    UINT16 next = 0;
    for (UINT32 i = 0; i < sizeof code->words / sizeof code->words[0]; i++)
        code->words[i] = 0;
    for (UINT32 length = 1; length <= MOST_BITS; length++, next <<= 1)
        for (UINT32 symbol = 0; symbol < count; symbol++) {
            UINT32 reversed = 0;
            if (lengths[symbol] != length)
                continue;
            for (UINT32 i = 0; i < length; i++)
                reversed |= (UINT32)(next >> i & 1) << (length - 1 - i);
            next++;
            for (; reversed < 1 << MOST_BITS; reversed += 1u << length)
                code->symbol[reversed] = (UINT16)(symbol << 4 | length);
        }
}

static UINT32 decode(STREAM *stream, const CODE *code) {
    UINT32 found;
    fill(stream, MOST_BITS);
    found = code->symbol[stream->bits & ((1u << MOST_BITS) - 1)];
    take(stream, found & 15);
    stream->bad |= found == 0;
    return found >> 4;
}

/* Lengths from symbol 257 on, and distances: each kind of code has a base and additional bits (3.2.5). */
static UINT32 base_of(STREAM *stream, UINT32 symbol, UINT32 step, UINT32 start) {
    UINT32 extra = symbol < 2 * step ? 0 : symbol / step - 1;
    UINT32 base = symbol < 2 * step ? symbol : (step + symbol % step) << extra;
    return start + base + take(stream, extra);
}

static void compressed(STREAM *stream, const CODE *literals, const CODE *distances) {
    while (!stream->bad) {
        UINT32 symbol = decode(stream, literals), length, distance;
        if (symbol < 256) {
            put(stream, (UINT8)symbol);
            continue;
        }
        if (symbol == 256)
            return;
        length = symbol == 285 ? 258 : base_of(stream, symbol - 257, 4, 3);
        distance = base_of(stream, decode(stream, distances), 2, 1);
        if (symbol > 285 || distance > stream->out_at || length > stream->out_size - stream->out_at) {
            stream->bad = TRUE;
            return;
        }
        for (UINT8 *to = stream->out + stream->out_at, *end = to + length; to < end; to++)
            *to = *(to - distance);
        stream->out_at += length;
    }
}

static CODE literal_code, distance_code;
static UINT8 lengths[LITERALS + DISTANCES];

static void fixed(void) {
    for (UINT32 i = 0; i < LITERALS; i++)
        lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    make(&literal_code, lengths, LITERALS);
    for (UINT32 i = 0; i < 30; i++)
        lengths[i] = 5;
    make(&distance_code, lengths, 30);
}

static void dynamic(STREAM *stream) {
    static const UINT8 order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    UINT32 literals = take(stream, 5) + 257, distances = take(stream, 5) + 1, count = take(stream, 4) + 4, at = 0;
    if (literals > 286) {
        stream->bad = TRUE;
        return;
    }
    for (UINT32 i = 0; i < 19; i++)
        lengths[i] = 0;
    for (UINT32 i = 0; i < count; i++)
        lengths[order[i]] = (UINT8)take(stream, 3);
    make(&literal_code, lengths, 19);
    while (at < literals + distances && !stream->bad) {
        UINT32 symbol = decode(stream, &literal_code), repeat = 1;
        UINT8 length = (UINT8)symbol;
        if (symbol == 16) {
            length = at ? lengths[at - 1] : 0;
            repeat = 3 + take(stream, 2);
        } else if (symbol > 16) {
            length = 0;
            repeat = symbol == 17 ? 3 + take(stream, 3) : 11 + take(stream, 7);
        }
        if (at + repeat > literals + distances) {
            stream->bad = TRUE;
            return;
        }
        while (repeat--)
            lengths[at++] = length;
    }
    make(&literal_code, lengths, literals);
    make(&distance_code, lengths + literals, distances);
}

static void inflate(STREAM *stream) {
    UINT32 last = 0;
    while (!last && !stream->bad) {
        UINT32 kind;
        last = take(stream, 1);
        kind = take(stream, 2);
        if (kind == 0) {
            UINT32 length;
            take(stream, stream->bit_count & 7);
            length = take(stream, 16);
            stream->bad |= length != (take(stream, 16) ^ 0xffff);
            for (; length && stream->bit_count && !stream->bad; length--)
                put(stream, (UINT8)take(stream, 8));
            if (stream->in_at > stream->in_size || length > stream->in_size - stream->in_at ||
                length > stream->out_size - stream->out_at) {
                stream->bad = TRUE;
                return;
            }
            memcpy(stream->out + stream->out_at, stream->in + stream->in_at, length);
            stream->in_at += length;
            stream->out_at += length;
            continue;
        }
        if (kind == 3)
            stream->bad = TRUE;
        else if (kind == 1)
            fixed();
        else
            dynamic(stream);
        compressed(stream, &literal_code, &distance_code);
    }
}

static UINT32 word(const UINT8 *at) { return at[0] | at[1] << 8 | at[2] << 16 | (UINT32)at[3] << 24; }

/* Where in memory a piece of the file is: in the section that holds it. */
static const UINT8 *in_memory(const UINT8 *base, UINT32 offset, UINT32 size) {
    const UINT8 *pe = base + word(base + 0x3c);
    const UINT8 *section = pe + 24 + (pe[20] | pe[21] << 8);
    for (UINT32 i = 0; i < (UINT32)(pe[6] | pe[7] << 8); i++, section += 40)
        if (offset >= word(section + 20) && offset - word(section + 20) <= word(section + 16) &&
            size <= word(section + 16) - (offset - word(section + 20)))
            return base + word(section + 12) + (offset - word(section + 20));
    return NULL;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL, *inner = NULL;
    EFI_PHYSICAL_ADDRESS room = 0;
    EFI_HANDLE handle = NULL;
    EFI_STATUS status;
    STREAM stream = {0};
    const UINT8 *base, *packed;
    UINT32 size;

    start(image, table);
    status = bs->HandleProtocol(image, &loaded_image_guid, (void **)&loaded);
    if (status)
        return status;
    base = loaded->ImageBase;
    size = word(base + 12);
    packed = same(base + 4, "zimg", 4) ? in_memory(base, word(base + 8), size) : NULL;
    /* Magic, deflate, no flags: nothing but a header of ten bytes; at the end a checksum and the size. */
    if (!packed || size < 18 || !same(packed, "\x1f\x8b\x08\0", 4)) {
        say_text("There is no payload.\n");
        return EFI_LOAD_ERROR;
    }
    stream.in = packed + 10;
    stream.in_size = size - 18;
    stream.out_size = word(packed + size - 4);
    status = bs->AllocatePages(AllocateAnyPages, EfiLoaderData, (stream.out_size + PAGE - 1) / PAGE, &room);
    if (status)
        return status;
    stream.out = (UINT8 *)(UINTN)room;
    inflate(&stream);
    if (stream.bad || stream.out_at != stream.out_size) {
        say_text("The payload is damaged.\n");
        return EFI_LOAD_ERROR;
    }
    status = bs->LoadImage(FALSE, image, NULL, stream.out, stream.out_size, &handle);
    if (!status)
        status = bs->HandleProtocol(handle, &loaded_image_guid, (void **)&inner);
    if (status)
        return status;
    inner->LoadOptions = loaded->LoadOptions;
    inner->LoadOptionsSize = loaded->LoadOptionsSize;
    return bs->StartImage(handle, NULL, NULL);
}
