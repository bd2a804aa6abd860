//! The program as its users meet it: what it prints, on which stream, and how it ends.

mod demo;
mod help;
mod inspect;
mod program;
mod run;
