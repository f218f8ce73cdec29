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
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
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
		*into = bytes.Clone(orNull(text))
		return nil
	}
	text = orNull(text)
	if string(bytes.TrimSpace(text)) == "null" && !takesNull(reflect.TypeOf(into).Elem()) {
		return fmt.Errorf("there is no value")
	}
	return json.Unmarshal(text, into)
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
