package main

import (
	"bytes"
	"testing"
)

// moduleOf has a section of these pieces, before one of another kind.
func moduleOf(pieces ...piece) []byte {
	section := []byte{byte(len(pieces))}
	for _, one := range pieces {
		section = appendSized(append(appendSigned(append(section, active, constant), one.at), end), one.data)
	}
	return appendSized(append(appendSized([]byte("\x00asm\x01\x00\x00\x00\x0b"), section), 0), []byte("\x01xyz"))
}

func TestPiecesOfDataAreJoined(t *testing.T) {
	far := int64(100 + 3 + maxGap + 1)
	many := moduleOf(piece{100, []byte("a")}, piece{102, []byte("b")}, piece{far, []byte("c")}, piece{8, []byte("d")}, piece{-9, []byte("e")})
	few := moduleOf(piece{100, []byte("a\x00b")}, piece{far, []byte("c")}, piece{8, []byte("d")}, piece{-9, []byte("e")})
	if got, err := joinData(many); err != nil || !bytes.Equal(got, few) {
		t.Fatalf("%x, %v, and not %x", got, err, few)
	}
	for size := range len(many) {
		// What is cut off must not be read.
		_, _ = joinData(many[:size])
	}
	passive := append([]byte("\x00asm\x01\x00\x00\x00\x0b\x04"), 1, 1, 1, 'x')
	if _, err := joinData(passive); err != errModule {
		t.Fatal(err)
	}
}

func TestNumbersAreWrittenAsTheyAreRead(t *testing.T) {
	for _, value := range []int64{0, 1, 63, 64, -1, -64, -65, 8191, 8192, 1 << 20, 1<<31 - 1, -1 << 31} {
		if got, width := signed(appendSigned(nil, value)); got != value || width == 0 {
			t.Errorf("%d is %d", value, got)
		}
	}
}
