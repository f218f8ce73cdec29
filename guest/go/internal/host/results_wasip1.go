package host

import "unsafe"

// How the exports answer: each returns the address of its result.

type resultWords struct{ words [6]uint32 }

func fresh() *resultWords {
	result = [3]uint64{}
	kept = [4]any{}
	return (*resultWords)(unsafe.Pointer(&result))
}

func (r *resultWords) address() uint32 { return addressOf(r) }

// ResultDone is the ok of a hook.
func ResultDone() uint32 { return fresh().address() }

// ResultBytes is the ok of a method.
func ResultBytes(reply []byte) uint32 {
	r := fresh()
	kept[0] = reply
	s := spanOfBytes(reply)
	r.words[1], r.words[2] = s.address, s.length
	return r.address()
}

// ResultFailure is the failure of either, by its number in the contract.
func ResultFailure(number uint32, message string) uint32 {
	r := fresh()
	kept[0] = message
	s := spanOf(message)
	r.words[0], r.words[1], r.words[2], r.words[3] = 1, number, s.address, s.length
	return r.address()
}

// ResultText is a plain text.
func ResultText(text string) uint32 {
	r := fresh()
	kept[0] = text
	s := spanOf(text)
	r.words[0], r.words[1] = s.address, s.length
	return r.address()
}

// ResultTexts is a plain list of texts.
func ResultTexts(texts []string) uint32 {
	r := fresh()
	spans := make([]span, len(texts))
	for i, text := range texts {
		spans[i] = spanOf(text)
	}
	kept[0], kept[1] = texts, spans
	r.words[0], r.words[1] = uint32(uintptr(unsafe.Pointer(unsafe.SliceData(spans)))), uint32(len(spans))
	return r.address()
}

// ResultEntries is the ok of a migration.
func ResultEntries(keys []string, values [][]byte) uint32 {
	r := fresh()
	spans := make([][2]span, len(keys))
	for i, key := range keys {
		spans[i] = [2]span{spanOf(key), spanOfBytes(values[i])}
	}
	kept[0], kept[1], kept[2] = keys, values, spans
	r.words[1], r.words[2] = uint32(uintptr(unsafe.Pointer(unsafe.SliceData(spans)))), uint32(len(spans))
	return r.address()
}
