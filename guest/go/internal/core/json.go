package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
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
