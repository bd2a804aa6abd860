//! Nothing: Cargo wants a package to have a library or a program. The benches are in `main.rs`.
