//! The contract `wit/v0` as Rust, generated. The rest of the crate is what makes it pleasant.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    unused_qualifications,
    clippy::all,
    reason = "generated code, which crosses the boundary to the host"
)]

wit_bindgen::generate!({
    path: "../../wit/v0",
    world: "plugin-world",
    pub_export_macro: true,
    default_bindings_module: "erp_plugin_sdk::bindings",
});
