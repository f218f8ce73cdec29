package host

import (
	"bytes"
	"unsafe"
)

// The memory that the host fills: what it hands to an export, and what it answers to an import. It asks for it with
// `cabi_realloc`, where nothing may call the host back. Go's heap does: it reads the clock when it collects. So this memory
// lies outside of the heap, and is used again from its beginning once all of it was read, which makes copies.
var arena struct {
	chunks [24]chunk
	length int
	// total is the size of all chunks.
	total uintptr
}

// chunk is a piece of memory. Its address is a number: the collector does not know it.
type chunk struct{ at, size, used, held uintptr }

// page is the least that is taken at once.
const page = 1 << 16

// sbrk is how the runtime itself gets memory. It must know of all that is taken: it takes for its own what follows its last.
// `daca-go build` permits the reference (`-checklinkname=0`).
//
//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer

// trap ends the instance. A panic would write to the host's log, which must not be called here.
func trap()

//go:wasmexport cabi_realloc
//go:nosplit
func cabiRealloc(old, oldSize, align, newSize uint32) uint32 {
	if newSize == 0 {
		return align
	}
	at := take((uintptr(newSize) + 7) &^ 7)
	for i := uintptr(0); i < uintptr(min(oldSize, newSize)); i++ {
		*(*byte)(unsafe.Pointer(at + i)) = *(*byte)(unsafe.Pointer(uintptr(old) + i))
	}
	return uint32(at)
}

// take finds room. Sizes are multiples of 8, which is the largest alignment in the contract.
//
//go:nosplit
func take(size uintptr) uintptr {
	for i := range arena.length {
		if c := &arena.chunks[i]; c.size-c.used >= size {
			c.used += size
			return c.at + c.used - size
		}
	}
	// At least as much as half of all so far, so that the chunks suffice.
	whole := (max(size, arena.total/2) + page - 1) &^ (page - 1)
	if arena.length == len(arena.chunks) {
		trap()
	}
	at := uintptr(sbrk(whole))
	if at == 0 {
		trap()
	}
	arena.chunks[arena.length] = chunk{at, whole, size, 0}
	arena.length++
	arena.total += whole
	return at
}

// The memory of WASI's adapter: its stack and its state, 64 KiB each. It needs them while the runtime of Go starts.
var (
	adapter     [3 * page]byte
	adapterUsed uintptr
)

//go:wasmexport cabi_realloc_adapter
//go:nosplit
func cabiReallocAdapter(_, oldSize, align, newSize uint32) uint32 {
	base := uintptr(unsafe.Pointer(&adapter))
	mask := uintptr(align) - 1
	at := (base + adapterUsed + mask) &^ mask
	end := at + uintptr(newSize)
	if oldSize > 0 || end > base+uintptr(len(adapter)) {
		trap()
	}
	adapterUsed = end - base
	return uint32(at)
}

// Release gives back what the host has filled, once all of it was read, except for what is held.
func Release() {
	for i := range arena.length {
		arena.chunks[i].used = arena.chunks[i].held
	}
}

// Hold keeps what the host has filled so far: a payload may be large, and is read where it lies.
func Hold() {
	for i := range arena.length {
		arena.chunks[i].held = arena.chunks[i].used
	}
}

// ReleaseAll gives back what is held, too.
func ReleaseAll() {
	for i := range arena.length {
		arena.chunks[i].used, arena.chunks[i].held = 0, 0
	}
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

// Bytes are a copy of those of an address and a length from the host.
func Bytes(address, length uint32) []byte {
	if length == 0 {
		return []byte{}
	}
	return bytes.Clone(View(address, length))
}

// View is the memory itself. It is valid until it is released. The address of no bytes may be any number: Go's runtime
// would take it for a broken pointer.
func View(address, length uint32) []byte {
	if length == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(at(address)), length)
}

// Text is a copy of the text of an address and a length from the host.
func Text(address, length uint32) string {
	if length == 0 {
		return ""
	}
	return string(unsafe.Slice((*byte)(at(address)), length))
}

// Words is an array of the host's, as words of 32 bits. It is valid until Release.
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
