/* What the program in the ROM, the entry page, and whoever fills memory have agreed on: offsets in the entry page. */

/* Where the entry page of a PC goes on with the hand-off's CS. */
#define GO_ON 0x200
/* Not zero: the ROM's program waits for memory to be filled. */
#define READY 0x400
/* Not zero: memory is filled. Values of registers follow, in the order of shim/boot/entry.py. */
#define GO 0x408
