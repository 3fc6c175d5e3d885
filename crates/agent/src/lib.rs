//! The built-in agent: what runs inside a cell of kind `builtin`.
#![forbid(unsafe_code)]
