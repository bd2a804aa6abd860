//! Why a component cannot be loaded. Each message says what to do.

/// A component that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The bytes are a core module.
    #[error(
        "this is a core module, and the host takes components; build it with `cargo xtask build-plugins`, or turn it \
         into one with `wasm-tools component new MODULE.wasm -o PLUGIN.component.wasm`"
    )]
    CoreModule,
    /// The bytes are no WebAssembly.
    #[error("this is not WebAssembly: it does not begin with \\0asm; name a .component.wasm file")]
    NotWasm,
    /// The bytes end early.
    #[error("this component is cut off after {0} bytes; copy or build it again")]
    Truncated(usize),
    /// The component is larger than it may be.
    #[error(
        "this component has {size} bytes, {allowed} are allowed; build it in release mode for size, or ask for more \
         with `max-size` under [plugin] in plugin.toml"
    )]
    TooLarge {
        /// Its size.
        size: u64,
        /// The most allowed.
        allowed: u64,
    },
    /// The component has more of something than any plugin needs.
    #[error("this component has {found} {what}, {allowed} are allowed; simplify it")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it has.
        found: u64,
        /// The most allowed.
        allowed: u64,
    },
    /// The component uses a WebAssembly feature that is off, or is malformed.
    #[error("this component is not valid here: {0}")]
    Invalid(String),
    /// The component imports something that is not offered.
    #[error("this component imports {import}, which this host does not offer; {offered}")]
    UnknownImport {
        /// What it imports.
        import: String,
        /// What there is instead.
        offered: String,
    },
    /// An interface of the embedder's own cannot be offered.
    #[error("the interface {name:?} cannot be offered: {problem}")]
    Interface {
        /// Its name.
        name: String,
        /// Why, and what to do.
        problem: String,
    },
    /// The component exports no contract that this host serves.
    #[error("this component does not export {export}, which contract {contract} asks for; {hint}")]
    MissingExport {
        /// What is missing.
        export: String,
        /// The contract.
        contract: &'static str,
        /// What to do.
        hint: String,
    },
    /// The component imports a contract that this host does not serve.
    #[error(
        "this component imports {import}, so it was built for contract {version}, and this host serves {served}; build \
         it for that one, or update the host"
    )]
    NotServed {
        /// The contract's version.
        version: String,
        /// What it imports of it.
        import: String,
        /// The versions that are served.
        served: String,
    },
    /// The component uses several contracts at once.
    #[error("this component mixes the contracts {0}; build all of it for one")]
    MixedContracts(String),
    /// Component and contract disagree on a type.
    #[error("this component does not fit contract {contract}: {detail}")]
    Mismatch {
        /// The contract.
        contract: &'static str,
        /// Where they disagree.
        detail: String,
    },
    /// The component was not compiled: too long, too large, or the compiler failed.
    #[error("this component could not be compiled: {0}")]
    Compile(String),
    /// The engine could not be made.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
}
