;; An agent that imports an interface which the host does not offer, and one which takes a type from it. A method `http`
;; calls them. Any other replies with the number of bytes of its payload, as a digit.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "request" (type (sub resource)))))
  (alias export $types "request" (type $request))
  (import "wasi:http/outgoing-handler@0.2.0" (instance $http
    (alias outer 1 $request (type $outer))
    (export "request" (type $own (eq $outer)))
    (export "open" (func (result (own $own))))))
  (import "daca:agent/pubsub@0.1.0" (instance $pubsub
    (type $cases (variant
      (case "denied" string) (case "not-found" string) (case "invalid" string)
      (case "unavailable" string) (case "too-large" string) (case "other" string)))
    (export "error" (type $error (eq $cases)))))
  (alias export $http "open" (func $open))
  (core func $core-open (canon lower (func $open)))
  (core module $guest-module
    (import "http" "open" (func $open (result i32)))
    (memory (export "memory") 1)
    ;; Nothing is kept from one call to the next.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "invoke") (param $method i32) (param $method-size i32) (param $at i32) (param $size i32)
      (result i32)
      (if (i32.eq (local.get $method-size) (i32.const 4)) (then (drop (call $open))))
      (i32.store8 (i32.const 32) (i32.add (i32.const 48) (local.get $size)))
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 32))
      (i32.store (i32.const 24) (i32.const 1))
      (i32.const 16)))
  (core instance $guest (instantiate $guest-module
    (with "http" (instance (export "open" (func $core-open))))))
  (alias core export $guest "memory" (core memory $memory))
  (alias core export $guest "realloc" (core func $realloc))
  (type $failure (variant (case "invalid" string) (case "not-found" string) (case "failed" string)))
  (func $invoke (param "method" string) (param "payload" (list u8))
    (result (result (list u8) (error $failure)))
    (canon lift (core func $guest "invoke") (memory $memory) (realloc $realloc)))
  (instance $actor
    (export "failure" (type $failure))
    (export "invoke" (func $invoke)))
  (export "daca:agent/actor@0.1.0" (instance $actor)))
