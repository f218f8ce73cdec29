package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"unicode"
	"unicode/utf16"
)

// Encode makes the JSON of a value. Bytes and raw JSON stay as they are. `<`, `>` and `&` are no `\u003c` here: nobody
// puts this JSON into a page.
func Encode(value any) ([]byte, error) {
	switch value := value.(type) {
	case []byte:
		return value, nil
	case json.RawMessage:
		return orNull(value), nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("a %T cannot be written as JSON: %w", value, err)
	}
	made := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	if tooDeep(made) {
		return nil, fmt.Errorf("a %T cannot be written as JSON: %w", value, errDeep)
	}
	return made, nil
}

// Decode reads JSON into what a pointer points to, and keeps nothing of the text. No bytes are `null`. Bytes and raw JSON
// are taken as they are.
func Decode(text []byte, into any) error {
	switch into := into.(type) {
	case *[]byte:
		*into = append([]byte{}, text...)
		return nil
	case *json.RawMessage:
		if !json.Valid(orNull(text)) {
			return fmt.Errorf("it is not JSON")
		}
		if tooDeep(text) {
			return errDeep
		}
		*into = bytes.Clone(orNull(text))
		return nil
	}
	text = orNull(text)
	if tooDeep(text) {
		return errDeep
	}
	if string(bytes.TrimSpace(text)) == "null" && !takesNull(reflect.TypeOf(into).Elem()) {
		return fmt.Errorf("there is no value")
	}
	return json.Unmarshal(text, into)
}

// decodePayload is Decode for what a caller sends. Half of a surrogate pair is no text, and Go's reader would replace it.
func decodePayload(text []byte, into any) error {
	if _, raw := into.(*[]byte); !raw && hasHalf(text) {
		return errHalf
	}
	return Decode(text, into)
}

var errHalf = errors.New("it is not JSON: it has half of a surrogate pair")

// hasHalf says whether an escape of a JSON text is half of a surrogate pair.
func hasHalf(text []byte) bool {
	for at := bytes.IndexByte(text, '\\'); at >= 0; at = bytes.IndexByte(text, '\\') {
		unit, size := escape(text[at:])
		text = text[at+size:]
		if utf16.IsSurrogate(unit) {
			low, size := escape(text)
			if utf16.DecodeRune(unit, low) == unicode.ReplacementChar {
				return true
			}
			text = text[size:]
		}
	}
	return false
}

// escape is the code unit of the escape `\uXXXX` that a text begins with, or 0, and the size of the escape.
func escape(text []byte) (unit rune, size int) {
	if bytes.HasPrefix(text, []byte(`\u`)) && len(text) >= 6 {
		if number, err := strconv.ParseUint(string(text[2:6]), 16, 16); err == nil {
			return rune(number), 6
		}
	}
	return 0, min(2, len(text))
}

// maxDepth is the depth of lists and objects that the host's Rust SDK reads, too. The reader of Go calls itself, and a
// component's stack is small.
const maxDepth = 127

var errDeep = fmt.Errorf("its lists and objects are nested more than %d levels deep", maxDepth)

func tooDeep(text []byte) bool {
	depth, inString, escaped := 0, false, false
	for _, c := range text {
		switch {
		case escaped:
			escaped = false
		case c == '\\' && inString:
			escaped = true
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}

func orNull(text []byte) []byte {
	if len(text) == 0 {
		return []byte("null")
	}
	return text
}

// takesNull returns true for the types that have a value for `null`. To the others it would be a silent zero.
func takesNull(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return true
	}
	return reflect.PointerTo(t).Implements(unmarshaler)
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()
