;; The guest of the benches: does one thing many times in one call, with as little of its own as can be.
;;
;; The payload is `[N,DATA]`, the event's last four letters say what is done N times with DATA:
;;   perm  check-permission "bench.item.read"
;;   sert  db-insert of DATA into "item"
;;   uery  db-query of "item" with the filter DATA
;;   page  db-query of "item" with no filter and the page DATA
;;   both  db-insert of DATA, then event-publish of it as "bench.item"
;; Anything else is nothing, N times. A host call that answers with an error ends in `unreachable`.
(component
  (import "erp:plugin/host-api" (instance $host-api
    (export "db-insert" (func (param "entity" string) (param "data" (list u8)) (result (result (list u8) (error string)))))
    (export "db-query" (func (param "entity" string) (param "filter" (list u8)) (param "pagination" (list u8)) (result (result (list u8) (error string)))))
    (export "event-publish" (func (param "event-type" string) (param "payload" (list u8)) (result (result (error string)))))
    (export "check-permission" (func (param "permission" string) (result (result bool (error string)))))))

  ;; Layout: 0 the answer "ok" (zeroes), 16 the result of a host call, 64 texts, 4096 the event's type, 8192 its payload,
  ;; 131072 what host calls answer.
  (core module $Memory
    (memory (export "memory") 20)
    (data (i32.const 64) "item")
    (data (i32.const 80) "bench.item.read")
    (data (i32.const 112) "bench.item")
    (global $asked (mut i32) (i32.const 0))
    (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (global.set $asked (i32.add (global.get $asked) (i32.const 1)))
      (if (i32.eq (global.get $asked) (i32.const 1)) (then (return (i32.const 4096))))
      (if (i32.eq (global.get $asked) (i32.const 2)) (then (return (i32.const 8192))))
      (i32.const 131072)))
  (core instance $memory (instantiate $Memory))
  (core func $db-insert (canon lower (func $host-api "db-insert") (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (core func $db-query (canon lower (func $host-api "db-query") (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (core func $event-publish (canon lower (func $host-api "event-publish") (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (core func $check-permission (canon lower (func $host-api "check-permission") (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $Guest
    (import "memory" "memory" (memory 20))
    (import "host" "db-insert" (func $db-insert (param i32 i32 i32 i32 i32)))
    (import "host" "db-query" (func $db-query (param i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "event-publish" (func $event-publish (param i32 i32 i32 i32 i32)))
    (import "host" "check-permission" (func $check-permission (param i32 i32 i32)))
    (func (export "init") (result i32) (i32.const 0))
    (func (export "on-tenant-created") (param $id i32) (param $id-len i32) (result i32) (i32.const 0))
    (func $check (if (i32.load8_u (i32.const 16)) (then (unreachable))))
    (func (export "handle-event")
      (param $type i32) (param $type-len i32) (param $payload i32) (param $payload-len i32) (result i32)
      (local $verb i32) (local $left i32) (local $end i32) (local $digit i32)
      (local.set $verb (i32.load align=1 (i32.sub (i32.add (local.get $type) (local.get $type-len)) (i32.const 4))))
      ;; The last byte is the closing bracket.
      (local.set $end (i32.sub (i32.add (local.get $payload) (local.get $payload-len)) (i32.const 1)))
      (block $read
        (loop $digits
          (local.set $payload (i32.add (local.get $payload) (i32.const 1)))
          (local.set $digit (i32.sub (i32.load8_u (local.get $payload)) (i32.const 48)))
          (br_if $read (i32.ge_u (local.get $digit) (i32.const 10)))
          (local.set $left (i32.add (i32.mul (local.get $left) (i32.const 10)) (local.get $digit)))
          (br $digits)))
      ;; Over the comma.
      (local.set $payload (i32.add (local.get $payload) (i32.const 1)))
      (local.set $payload-len (i32.sub (local.get $end) (local.get $payload)))
      (block $done
        (loop $next
          (br_if $done (i32.eqz (local.get $left)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (if (i32.eq (local.get $verb) (i32.const 0x6d726570))
            (then (call $check-permission (i32.const 80) (i32.const 15) (i32.const 16)) (call $check) (br $next)))
          (if (i32.eq (local.get $verb) (i32.const 0x74726573))
            (then (call $db-insert (i32.const 64) (i32.const 4) (local.get $payload) (local.get $payload-len) (i32.const 16)) (call $check) (br $next)))
          (if (i32.eq (local.get $verb) (i32.const 0x79726575))
            (then (call $db-query (i32.const 64) (i32.const 4) (local.get $payload) (local.get $payload-len) (i32.const 0) (i32.const 0) (i32.const 16)) (call $check) (br $next)))
          (if (i32.eq (local.get $verb) (i32.const 0x65676170))
            (then (call $db-query (i32.const 64) (i32.const 4) (i32.const 0) (i32.const 0) (local.get $payload) (local.get $payload-len) (i32.const 16)) (call $check) (br $next)))
          (if (i32.eq (local.get $verb) (i32.const 0x68746f62))
            (then
              (call $db-insert (i32.const 64) (i32.const 4) (local.get $payload) (local.get $payload-len) (i32.const 16)) (call $check)
              (call $event-publish (i32.const 112) (i32.const 10) (local.get $payload) (local.get $payload-len) (i32.const 16)) (call $check)))
          (br $next)))
      (i32.const 0)))
  (core instance $guest (instantiate $Guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "db-insert" (func $db-insert))
      (export "db-query" (func $db-query))
      (export "event-publish" (func $event-publish))
      (export "check-permission" (func $check-permission))))))

  (func $init (result (result (error string)))
    (canon lift (core func $guest "init") (memory $memory "memory")))
  (func $on-tenant-created (param "tenant-id" string) (result (result (error string)))
    (canon lift (core func $guest "on-tenant-created") (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (func $handle-event (param "event-type" string) (param "payload" (list u8)) (result (result (error string)))
    (canon lift (core func $guest "handle-event") (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "erp:plugin/plugin-api")
    (export "init" (func $init))
    (export "on-tenant-created" (func $on-tenant-created))
    (export "handle-event" (func $handle-event))))
