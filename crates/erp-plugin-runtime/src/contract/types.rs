//! Function types as WIT spells them, to compare what a component exports with what its contract asks for. Wasmtime
//! itself compares only once there is an instance, which is after a guest's start function has run.

use wasmtime::component::Type;
use wasmtime::component::types::ComponentFunc;

/// The type of a function: `func(key: string) -> result<list<u8>, string>`.
pub(super) fn spell(function: &ComponentFunc) -> String {
    let parameters: Vec<String> =
        function.params().map(|(name, parameter)| format!("{name}: {}", spell_type(&parameter))).collect();
    let results: Vec<String> = function.results().map(|result| spell_type(&result)).collect();
    let arrow = if results.is_empty() { "" } else { " -> " };
    format!("func({}){arrow}{}", parameters.join(", "), results.join(", "))
}

fn spell_type(found: &Type) -> String {
    match found {
        Type::Bool => "bool".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::String => "string".to_owned(),
        Type::List(list) => format!("list<{}>", spell_type(&list.ty())),
        Type::Option(option) => format!("option<{}>", spell_type(&option.ty())),
        Type::Result(result) => match (result.ok(), result.err()) {
            (None, None) => "result".to_owned(),
            (Some(ok), None) => format!("result<{}>", spell_type(&ok)),
            (ok, Some(err)) => {
                let ok = ok.map_or_else(|| "_".to_owned(), |ok| spell_type(&ok));
                format!("result<{ok}, {}>", spell_type(&err))
            }
        },
        // No contract's function has any other.
        _ => "…".to_owned(),
    }
}
