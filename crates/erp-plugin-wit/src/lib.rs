//! Host-side bindings, one module per released contract, nothing else.
//!
//! Generated from `wit/` by `bindgen!`; what a call means is `erp-plugin-host-api`'s business and how it gets there
//! `erp-plugin-runtime`'s. Only these two crates know Wasmtime.
//!
//! To add a contract: 1. its folder under `wit/`, with its hashes in `wit/hashes.txt`; 2. a module here; 3. an
//! adapter of the same name in `erp-plugin-runtime`.

/// Contract v0: the unversioned package `erp:plugin`, JSON in byte lists, errors as `code: message`. Frozen.
pub mod v0 {
    #![allow(missing_docs, reason = "generated; the WIT has the documentation")]

    wasmtime::component::bindgen!({
        path: "../../wit/v0",
        world: "plugin-world",
        // What needs no storage answers at once: an asynchronous host call costs 20 ns more.
        imports: {
            "erp:plugin/host-api.config-get": trappable,
            "erp:plugin/host-api.log-write": trappable,
            "erp:plugin/host-api.current-user": trappable,
            "erp:plugin/host-api.check-permission": trappable,
            default: async | trappable,
        },
        exports: { default: async },
    });
}
