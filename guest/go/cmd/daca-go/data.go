package main

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Go's linker leaves out zeros: a module has some 40,000 pieces of data. The host compiles code that copies each of them,
// and would need more than a gigabyte of memory for that. So pieces with few zeros between them become one.

// maxGap is the number of zeros that are written out to join two pieces.
const maxGap = 64

// Sections of a module, and the parts of a piece that lies at an address.
const (
	dataSection, dataCountSection = 11, 12
	active, constant, end         = 0x00, 0x41, 0x0b
)

var errModule = errors.New("the compiler's module has a form that daca-go does not know")

// piece is data, and where it goes in the memory.
type piece struct {
	at   int64
	data []byte
}

// joinData makes few pieces of a module's many.
func joinData(module []byte) ([]byte, error) {
	const preamble = 8
	if len(module) < preamble {
		return nil, errModule
	}
	joined := slices.Clone(module[:preamble])
	for rest := module[preamble:]; len(rest) > 0; {
		id := rest[0]
		section, after, err := sized(rest[1:])
		if err != nil {
			return nil, err
		}
		rest = after
		switch id {
		case dataCountSection:
			// It is for pieces that a program copies itself. There are none, or `pieces` says so.
			continue
		case dataSection:
			if section, err = joinedSection(section); err != nil {
				return nil, err
			}
		}
		joined = appendSized(append(joined, id), section)
	}
	return joined, nil
}

func joinedSection(section []byte) ([]byte, error) {
	many, err := pieces(section)
	if err != nil {
		return nil, err
	}
	var few []piece
	for _, next := range many {
		if len(few) > 0 {
			last := &few[len(few)-1]
			if gap := next.at - last.at - int64(len(last.data)); 0 <= gap && gap <= maxGap {
				last.data = append(append(last.data, make([]byte, gap)...), next.data...)
				continue
			}
		}
		few = append(few, piece{next.at, slices.Clone(next.data)})
	}
	written := binary.AppendUvarint(nil, uint64(len(few)))
	for _, one := range few {
		written = appendSized(append(appendSigned(append(written, active, constant), one.at), end), one.data)
	}
	return written, nil
}

func pieces(section []byte) ([]piece, error) {
	count, width := binary.Uvarint(section)
	if width <= 0 {
		return nil, errModule
	}
	var found []piece
	for rest := section[width:]; count > 0; count-- {
		if len(rest) < 2 || rest[0] != active || rest[1] != constant {
			return nil, errModule
		}
		at, width := signed(rest[2:])
		if width == 0 || len(rest) < 3+width || rest[2+width] != end {
			return nil, errModule
		}
		data, after, err := sized(rest[3+width:])
		if err != nil {
			return nil, err
		}
		found = append(found, piece{at, data})
		rest = after
	}
	return found, nil
}

// sized splits bytes off that begin with their number.
func sized(bytes []byte) (content, rest []byte, err error) {
	size, width := binary.Uvarint(bytes)
	if width <= 0 || size > uint64(len(bytes)-width) {
		return nil, nil, errModule
	}
	end := width + int(size)
	return bytes[width:end], bytes[end:], nil
}

func appendSized(into, content []byte) []byte {
	return append(binary.AppendUvarint(into, uint64(len(content))), content...)
}

// signed reads a number that may be negative. Its width is 0 if there is none.
func signed(bytes []byte) (value int64, width int) {
	for i, b := range bytes[:min(len(bytes), binary.MaxVarintLen32)] {
		value |= int64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b&0x40 != 0 {
				value -= 1 << (7 * (i + 1))
			}
			return value, i + 1
		}
	}
	return 0, 0
}

func appendSigned(into []byte, value int64) []byte {
	for value < -0x40 || value > 0x3f {
		into = append(into, byte(value&0x7f)|0x80)
		value >>= 7
	}
	return append(into, byte(value&0x7f))
}
