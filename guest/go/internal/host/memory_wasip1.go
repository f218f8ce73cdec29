package host

import "unsafe"

// The memory that the host fills: what it hands to an export, and what it answers to an import. It asks for it with
// `cabi_realloc`. Only the numbers of its addresses are known until they are read, so the collector must see it here.
var filled [][]uint64

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, newSize uint32) unsafe.Pointer {
	if newSize == 0 {
		return unsafe.Pointer(uintptr(align))
	}
	// Words: no value of the contract needs more than the alignment of 8.
	words := make([]uint64, (uint64(newSize)+7)/8)
	filled = append(filled, words)
	at := unsafe.Pointer(&words[0])
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(at), newSize), unsafe.Slice((*byte)(old), min(oldSize, newSize)))
	}
	return at
}

// The memory of WASI's adapter: its stack and its state, 64 KiB each. It needs them while the runtime of Go starts, when
// there is no heap yet. It must not grow the memory itself: the runtime takes for its own all that follows its heap.
var (
	adapter     [3 << 16]byte
	adapterUsed uintptr
)

//go:wasmexport cabi_realloc_adapter
//go:nosplit
func cabiReallocAdapter(old unsafe.Pointer, oldSize, align, newSize uint32) unsafe.Pointer {
	base := uintptr(unsafe.Pointer(&adapter))
	mask := uintptr(align) - 1
	at := (base + adapterUsed + mask) &^ mask
	end := at + uintptr(newSize)
	if oldSize > 0 || end > base+uintptr(len(adapter)) {
		return nil
	}
	adapterUsed = end - base
	return unsafe.Pointer(at)
}

// Release forgets what the host has filled, once all of it was read. Slices and strings that were made of it keep it.
func Release() {
	clear(filled)
	filled = filled[:0]
}

// The place where the host writes an answer, and where an export leaves its own. One of each is enough: nothing runs
// between a call and the reading of its answer. They are no locals, since a stack may move.
var (
	answer [8]uint64
	result [3]uint64
	// What a result points to, until the next one.
	kept [4]any
)

func word(at *[8]uint64, offset uintptr) uint32 {
	return *(*uint32)(unsafe.Add(unsafe.Pointer(at), offset))
}

func wide(at unsafe.Pointer, offset uintptr) uint64 {
	return *(*uint64)(unsafe.Add(at, offset))
}

func at(address uint32) unsafe.Pointer { return unsafe.Pointer(uintptr(address)) }

// Bytes are those of an address and a length from the host.
func Bytes(address, length uint32) []byte {
	if length == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(at(address)), length)
}

// Text is the text of an address and a length from the host.
func Text(address, length uint32) string {
	if length == 0 {
		return ""
	}
	return unsafe.String((*byte)(at(address)), length)
}

// Words is an array of the host's, as words of 32 bits.
func Words(address, length, each uint32) []uint32 {
	if length == 0 {
		return nil
	}
	return unsafe.Slice((*uint32)(at(address)), uint64(length)*uint64(each))
}

// Pairs are the elements of a list of pairs of texts.
func Pairs(address, length uint32) []Pair {
	words := Words(address, length, 4)
	pairs := make([]Pair, 0, length)
	for ; len(words) > 0; words = words[4:] {
		pairs = append(pairs, Pair{Text(words[0], words[1]), Text(words[2], words[3])})
	}
	return pairs
}

func addressOf[T any](pointer *T) uint32 { return uint32(uintptr(unsafe.Pointer(pointer))) }

func dataOf(bytes []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(bytes)) }

func textOf(text string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(text)) }

// span is a list or a text in a value for the host.
type span struct{ address, length uint32 }

func spanOf(text string) span {
	return span{uint32(uintptr(textOf(text))), uint32(len(text))}
}

func spanOfBytes(bytes []byte) span {
	return span{uint32(uintptr(dataOf(bytes))), uint32(len(bytes))}
}
