//! Components that are refused before anything compiles them.

use erp_plugin::{HostFailure, LoadError};
use erp_plugin_tests::guests;

use super::{ATTACKER, platform, serves_on};

async fn refusal(fixture: &str) -> LoadError {
    let platform = platform(|builder| builder).await;
    let failure = platform.try_enable(ATTACKER, guests::hostile(fixture)).await.unwrap_err();
    let HostFailure::Load(error) = failure else { panic!("{failure}") };
    assert_eq!(platform.host.plugins().len(), 1, "something of it stayed");
    serves_on(&platform).await;
    error
}

/// A test for a fixture that is refused with a message in which all of these stand.
macro_rules! refused {
    ($($test:ident $fixture:literal [$($part:literal),+])*) => {
        $(#[tokio::test]
        async fn $test() {
            let message = refusal($fixture).await.to_string();
            for part in [$($part),+] {
                assert!(message.contains(part), "{part:?} is not in {message:?}");
            }
        })*
    };
}

refused! {
    f02_transcode "02-transcode" ["an inner component holds a core module"]
    f04_huge_table "04-huge-table" ["10000000 elements in a table", "20000 are allowed"]
    f04_many_tables "04-many-tables" ["tables", "8 are allowed"]
    f06_memory_128_mib "06-memory-128-mib" ["128 MiB of memory", "64 MiB are allowed"]
    f06_far_data "06-far-data" ["data segment", "outside of the module's 65536 bytes of memory"]
    f07_core_instances "07-core-instances" ["core instances", "16 are allowed"]
    f07_nested_deep "07-nested-deep" ["nested in one another too deeply"]
    f07_nested_many "07-nested-many" ["inner components", "16 are allowed"]
    f07_nested_exponential "07-nested-exponential" ["inner component"]
    f07_type_bomb "07-type-bomb" ["type size"]
    f07_type_compare "07-type-compare" ["are allowed"]
    f08_threads "08-threads" ["it uses threads"]
    f08_atomics "08-atomics" ["it uses threads"]
    f08_memory64 "08-memory64" ["it uses memory64"]
    f08_multi_memory "08-multi-memory" ["it uses multi-memory"]
    f08_gc "08-gc" ["it uses", "gc"]
    f08_exceptions "08-exceptions" ["it uses exceptions"]
    f08_tail_call "08-tail-call" ["it uses tail-call"]
    f08_function_references "08-function-references" ["it uses function-references"]
    f08_relaxed_simd "08-relaxed-simd" ["it uses relaxed-simd"]
    f08_custom_page_sizes "08-custom-page-sizes" ["it uses custom-page-sizes"]
    f08_wide_arithmetic "08-wide-arithmetic" ["it uses wide-arithmetic"]
    f08_stack_switching "08-stack-switching" ["it uses", "stack-switching"]
    f08_component_async "08-component-async" ["it uses cm-async"]
    load_core_module "load-core-module" ["this is a core module", "wasm-tools component new", "cargo xtask build-plugins"]
    load_no_exports "load-no-exports" ["does not export erp:plugin/plugin-api", "it exports nothing"]
    load_bare_exports "load-bare-exports" ["does not export erp:plugin/plugin-api", "handle-event"]
    load_missing_function "load-missing-function" ["does not export erp:plugin/plugin-api.handle-event"]
    load_wrong_export_type "load-wrong-export-type" ["does not fit contract 0", "its handle-event is func(event-type: string, payload: string)", "payload: list<u8>"]
    load_wrong_import_type "load-wrong-import-type" ["does not fit contract 0", "db-insert"]
    load_unknown_function "load-unknown-function" ["imports erp:plugin/host-api.drop-table", "db-insert"]
    load_unknown_interface "load-unknown-interface" ["imports acme:crm/customers", "it offers erp:plugin/host-api"]
    load_empty_interface "load-empty-interface" ["imports acme:crm/nothing"]
    load_wasi "load-wasi" ["imports wasi:cli/environment@0.2.0", "wasm32-unknown-unknown"]
    load_bare_function "load-bare-function" ["imports print"]
    load_core_module_import "load-core-module-import" ["imports library"]
    load_mixed_contracts "load-mixed-contracts" ["mixes the contracts 0 and 1.0.0"]
    load_future_contract "load-future-contract" ["imports erp:plugin/records@99.0.0", "built for contract 99.0.0", "serves 0"]
}

/// An engine without multi-memory panics on this one; ours may refuse it or run it.
#[tokio::test]
async fn f07_adapter() {
    let platform = platform(|builder| builder).await;
    match platform.try_enable(ATTACKER, guests::hostile("07-adapter")).await {
        Ok(()) | Err(HostFailure::Load(LoadError::Invalid(_) | LoadError::TooMany { .. })) => {}
        Err(other) => panic!("{other}"),
    }
    serves_on(&platform).await;
}

/// Too long for files: each is one thing over and over.
#[tokio::test]
async fn what_there_is_too_much_of_is_refused_by_its_name() {
    let many = |line: &str, times: usize| line.repeat(times);
    let bombs = [
        (
            "canonical functions",
            format!(
                "(component (type $t (resource (rep i32))) {})",
                many("(core func (canon resource.drop $t))", 2_001)
            ),
        ),
        (
            "aliases",
            format!(
                "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) {})",
                many("(alias core export $i \"f\" (core func))", 10_001)
            ),
        ),
        (
            "imports",
            format!(
                "(component (type $f (func)) {})",
                (0..1_001).map(|n| format!("(import \"i{n}\" (func (type $f)))")).collect::<String>()
            ),
        ),
    ];
    let platform = platform(|builder| builder).await;
    for (what, text) in bombs {
        let component = wat::parse_str(text).unwrap();
        let failure = platform.try_install(ATTACKER, component).await.unwrap_err().to_string();
        assert!(failure.contains(&format!(" {what}, ")) && failure.contains("are allowed"), "{failure}");
    }
    serves_on(&platform).await;
}
