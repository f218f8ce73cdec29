package daca

import (
	"fmt"
	"time"

	"daca/internal/core"
	"daca/internal/host"
)

// Key is a key of the actor's own durable state, with the type of its value:
//
//	const count = daca.Key[int]("count")
//
// Values are stored as JSON; those of a Key[[]byte] as they are. Writes are staged, and commit when the turn succeeds.
// Reads see the turn's own writes.
type Key[T any] string

// Get is the value, and whether there is one.
func (k Key[T]) Get() (value T, exists bool, err error) {
	text, err := host.StateGet(string(k))
	if err != nil || text == nil {
		return value, false, err
	}
	if err := core.Decode(text, &value); err != nil {
		return value, false, fmt.Errorf("the state under %s: %w", string(k), err)
	}
	return value, true, nil
}

// GetOr is the value, or another one when there is none.
func (k Key[T]) GetOr(otherwise T) (T, error) {
	value, exists, err := k.Get()
	if err != nil || exists {
		return value, err
	}
	return otherwise, nil
}

// Bytes are those that are stored, or nil.
func (k Key[T]) Bytes() ([]byte, error) { return host.StateGet(string(k)) }

// Set stages a write.
func (k Key[T]) Set(value T) error { return k.set(value, nil) }

// SetFor stages a write that expires so long after the commit, in whole seconds.
func (k Key[T]) SetFor(value T, ttl time.Duration) error {
	seconds := uint32(min(max(0, (ttl+time.Second-1)/time.Second), 1<<32-1))
	return k.set(value, &seconds)
}

func (k Key[T]) set(value T, ttl *uint32) error {
	text, err := core.Encode(value)
	if err != nil {
		return fmt.Errorf("the state under %s: %w", string(k), err)
	}
	return host.StateSet(string(k), text, ttl)
}

// Delete stages a removal. Removing a key that does not exist is not an error.
func (k Key[T]) Delete() error { return host.StateDelete(string(k)) }

// GetMany reads several keys in one request. The values of those that do not exist are nil.
func GetMany[T any](keys ...Key[T]) ([]*T, error) {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = string(key)
	}
	texts, err := host.StateGetMany(names)
	if err != nil {
		return nil, err
	}
	values := make([]*T, len(keys))
	for i, text := range texts {
		if text == nil {
			continue
		}
		values[i] = new(T)
		if err := core.Decode(text, values[i]); err != nil {
			return nil, fmt.Errorf("the state under %s: %w", names[i], err)
		}
	}
	return values, nil
}
