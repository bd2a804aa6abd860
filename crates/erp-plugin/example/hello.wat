;; The smallest plugin of contract v0: it takes every event and does nothing.
(component
  (core module $Guest
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (i32.const 4096))
    (func (export "init") (result i32) (i32.const 0))
    (func (export "on-tenant-created") (param $id i32) (param $id-len i32) (result i32) (i32.const 0))
    (func (export "handle-event")
      (param $type i32) (param $type-len i32) (param $payload i32) (param $payload-len i32) (result i32)
      (i32.const 0)))
  (core instance $guest (instantiate $Guest))

  (func $init (result (result (error string)))
    (canon lift (core func $guest "init") (memory $guest "memory")))
  (func $on-tenant-created (param "tenant-id" string) (result (result (error string)))
    (canon lift (core func $guest "on-tenant-created") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $handle-event (param "event-type" string) (param "payload" (list u8)) (result (result (error string)))
    (canon lift (core func $guest "handle-event") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (instance (export "erp:plugin/plugin-api")
    (export "init" (func $init))
    (export "on-tenant-created" (func $on-tenant-created))
    (export "handle-event" (func $handle-event))))
