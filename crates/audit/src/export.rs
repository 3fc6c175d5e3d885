//! Records in the forms that other programs take.

mod csv;
mod ocsf;
mod report;

pub use csv::{HEADER as CSV_HEADER, csv};
pub use ocsf::ocsf;
pub use report::Report;
