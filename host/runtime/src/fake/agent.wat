;; The agent of the unit tests, by hand against wit/agent.wit, so that they need no toolchain for guests.
;;
;; It keeps one value under the key "k". By its first letter, a method is:
;;   get      replies with the value
;;   count    replies with the number of methods that this instance has run, as a digit
;;   version  replies with VERSION, which a test replaces by a letter or digit
;;   add      appends the payload to the value, publishes the payload to p/t, and replies with the value
;;   trap     the same, and traps then
;;   fail     the same, and fails then
;; `activate` reads the value, and traps if it cannot. `deactivate` writes the key "bye". `on-effect-failed` appends the event
;; to the value under the key "told". An event that begins with T makes it trap then, one with F makes it fail, and one with P
;; is published again.
(component
  (import "daca:agent/state@0.1.0" (instance $state
    (type $cases (variant
      (case "denied" string) (case "not-found" string) (case "invalid" string)
      (case "unavailable" string) (case "too-large" string) (case "other" string)))
    (export "error" (type $error (eq $cases)))
    (export "get" (func (param "key" string) (result (result (option (list u8)) (error $error)))))
    (export "set" (func (param "key" string) (param "value" (list u8)) (param "ttl-seconds" (option u32))
      (result (result (error $error)))))))
  (import "daca:agent/pubsub@0.1.0" (instance $pubsub
    (type $cases (variant
      (case "denied" string) (case "not-found" string) (case "invalid" string)
      (case "unavailable" string) (case "too-large" string) (case "other" string)))
    (export "error" (type $error (eq $cases)))
    (export "publish" (func (param "pubsub" string) (param "topic" string) (param "event" (list u8))
      (result (result u32 (error $error)))))))
  (alias export $state "get" (func $get))
  (alias export $state "set" (func $set))
  (alias export $pubsub "publish" (func $publish))

  (core module $memory-module
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 1024))
    ;; Frees nothing: an instance lives for a few turns.
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32)
      (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at)))
  (core instance $lib (instantiate $memory-module))
  (alias core export $lib "memory" (core memory $memory))
  (alias core export $lib "realloc" (core func $realloc))
  (core func $core-get (canon lower (func $get) (memory $memory) (realloc $realloc)))
  (core func $core-set (canon lower (func $set) (memory $memory) (realloc $realloc)))
  (core func $core-publish (canon lower (func $publish) (memory $memory) (realloc $realloc)))

  ;; The memory: names at 0 and 64, the version at 8, the count at 9, the result of an export at 16, that of an import at 32,
  ;; and the length of what was appended at 48.
  (core module $guest-module
    (import "lib" "memory" (memory 1))
    (import "lib" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "host" "get" (func $get (param i32 i32 i32)))
    (import "host" "set" (func $set (param i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "publish" (func $publish (param i32 i32 i32 i32 i32 i32 i32)))
    (data (i32.const 0) "kptbyenoVERSION")
    (data (i32.const 64) "told")
    (global $turns (mut i32) (i32.const 0))

    ;; Traps if the last import has failed.
    (func $check
      (if (i32.load8_u (i32.const 32)) (then (unreachable))))

    ;; Reads the value.
    (func $read
      (call $read-key (i32.const 0) (i32.const 1)))

    ;; Reads the value of a key: its address is at 40 then, and its length at 44.
    (func $read-key (param $key i32) (param $key-size i32)
      (call $get (local.get $key) (local.get $key-size) (i32.const 32))
      (call $check)
      (if (i32.eqz (i32.load8_u (i32.const 36)))
        (then (i32.store (i32.const 40) (i32.const 0)) (i32.store (i32.const 44) (i32.const 0)))))

    (func $reply (param $at i32) (param $size i32) (result i32)
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $size))
      (i32.const 16))

    ;; The failure `failed("no")`.
    (func $refuse (result i32)
      (i32.store8 (i32.const 16) (i32.const 1))
      (i32.store8 (i32.const 20) (i32.const 2))
      (i32.store (i32.const 24) (i32.const 6))
      (i32.store (i32.const 28) (i32.const 2))
      (i32.const 16))

    ;; Appends bytes to the value of a key. Returns its address; its length is at 48 then.
    (func $append (param $key i32) (param $key-size i32) (param $at i32) (param $size i32) (result i32)
      (local $old i32) (local $total i32) (local $new i32)
      (call $read-key (local.get $key) (local.get $key-size))
      (local.set $old (i32.load (i32.const 44)))
      (local.set $total (i32.add (local.get $old) (local.get $size)))
      (local.set $new (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $total)))
      (memory.copy (local.get $new) (i32.load (i32.const 40)) (local.get $old))
      (memory.copy (i32.add (local.get $new) (local.get $old)) (local.get $at) (local.get $size))
      (call $set (local.get $key) (local.get $key-size) (local.get $new) (local.get $total)
        (i32.const 0) (i32.const 0) (i32.const 32))
      (call $check)
      (i32.store (i32.const 48) (local.get $total))
      (local.get $new))

    ;; Publishes bytes to p/t.
    (func $announce (param $at i32) (param $size i32)
      (call $publish (i32.const 1) (i32.const 1) (i32.const 2) (i32.const 1)
        (local.get $at) (local.get $size) (i32.const 32))
      (call $check))

    (func $add (param $at i32) (param $size i32) (result i32)
      (local $new i32)
      (local.set $new (call $append (i32.const 0) (i32.const 1) (local.get $at) (local.get $size)))
      (call $announce (local.get $at) (local.get $size))
      (call $reply (local.get $new) (i32.load (i32.const 48))))

    (func (export "invoke") (param $method i32) (param $method-size i32) (param $at i32) (param $size i32)
      (result i32)
      (local $first i32) (local $result i32)
      (global.set $turns (i32.add (global.get $turns) (i32.const 1)))
      (local.set $first (i32.load8_u (local.get $method)))
      (if (i32.eq (local.get $first) (i32.const 103)) ;; g
        (then
          (call $read)
          (return (call $reply (i32.load (i32.const 40)) (i32.load (i32.const 44))))))
      (if (i32.eq (local.get $first) (i32.const 99)) ;; c
        (then
          (i32.store8 (i32.const 9) (i32.add (i32.const 48) (global.get $turns)))
          (return (call $reply (i32.const 9) (i32.const 1)))))
      (if (i32.eq (local.get $first) (i32.const 118)) ;; v
        (then (return (call $reply (i32.const 8) (i32.const 1)))))
      (local.set $result (call $add (local.get $at) (local.get $size)))
      (if (i32.eq (local.get $first) (i32.const 116)) ;; t
        (then (unreachable)))
      (if (i32.eq (local.get $first) (i32.const 102)) ;; f
        (then (return (call $refuse))))
      (local.get $result))

    (func (export "activate") (result i32)
      (call $read)
      (call $reply (i32.const 0) (i32.const 0)))

    (func (export "deactivate") (result i32)
      (call $set (i32.const 3) (i32.const 3) (i32.const 3) (i32.const 3)
        (i32.const 0) (i32.const 0) (i32.const 32))
      (call $check)
      (call $reply (i32.const 0) (i32.const 0)))

    ;; The arguments are flat: the id, the request (a case, and then the fields of an event, or the longer ones of a binding),
    ;; the attempts, and the reason.
    (func (export "on-effect-failed")
      (param $id i32) (param $id-size i32)
      (param $request i32) (param $pubsub i32) (param $pubsub-size i32) (param $topic i32) (param $topic-size i32)
      (param $at i32) (param $size i32) (param $metadata i32) (param $metadata-size i32)
      (param $attempts i32)
      (param $reason i32) (param $text i32) (param $text-size i32)
      (result i32)
      (local $first i32)
      (drop (call $append (i32.const 64) (i32.const 4) (local.get $at) (local.get $size)))
      (local.set $first (i32.load8_u (local.get $at)))
      (if (i32.eq (local.get $first) (i32.const 84)) ;; T
        (then (unreachable)))
      (if (i32.eq (local.get $first) (i32.const 70)) ;; F
        (then (return (call $refuse))))
      (if (i32.eq (local.get $first) (i32.const 80)) ;; P
        (then (call $announce (local.get $at) (local.get $size))))
      (call $reply (i32.const 0) (i32.const 0))))
  (core instance $guest (instantiate $guest-module
    (with "lib" (instance $lib))
    (with "host" (instance
      (export "get" (func $core-get))
      (export "set" (func $core-set))
      (export "publish" (func $core-publish))))))

  (type $failure (variant (case "invalid" string) (case "not-found" string) (case "failed" string)))
  (func $invoke (param "method" string) (param "payload" (list u8))
    (result (result (list u8) (error $failure)))
    (canon lift (core func $guest "invoke") (memory $memory) (realloc $realloc)))
  (func $activate (result (result (error $failure)))
    (canon lift (core func $guest "activate") (memory $memory) (realloc $realloc)))
  (func $deactivate (result (result (error $failure)))
    (canon lift (core func $guest "deactivate") (memory $memory) (realloc $realloc)))
  (type $error (variant
    (case "denied" string) (case "not-found" string) (case "invalid" string)
    (case "unavailable" string) (case "too-large" string) (case "other" string)))
  (type $published (record (field "pubsub" string) (field "topic" string) (field "event" (list u8))))
  (type $sent (record (field "binding" string) (field "operation" string) (field "data" (list u8))
    (field "metadata" (list (tuple string string)))))
  (type $request (variant (case "publish" $published) (case "send" $sent)))
  (type $failed-effect (record (field "id" string) (field "request" $request) (field "attempts" u32)))
  (func $on-effect-failed (param "effect" $failed-effect) (param "reason" $error)
    (result (result (error $failure)))
    (canon lift (core func $guest "on-effect-failed") (memory $memory) (realloc $realloc)))
  (instance $actor
    (export "failure" (type $failure))
    (export "invoke" (func $invoke)))
  (instance $lifecycle
    (export "failure" (type $failure))
    (export "activate" (func $activate))
    (export "deactivate" (func $deactivate)))
  (instance $effect-failed
    (export "error" (type $error))
    (export "failure" (type $failure))
    (export "published" (type $published))
    (export "sent" (type $sent))
    (export "request" (type $request))
    (export "failed-effect" (type $failed-effect))
    (export "on-effect-failed" (func $on-effect-failed)))
  (export "daca:agent/actor@0.1.0" (instance $actor))
  (export "daca:agent/lifecycle@0.1.0" (instance $lifecycle))
  (export "daca:agent/on-effect-failed@0.1.0" (instance $effect-failed)))
