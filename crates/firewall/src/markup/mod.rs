//! What people do not see of a page or a document, and what is left of a page without its tags.

mod html;
mod markdown;
mod style;
mod tag;
#[cfg(test)]
mod tests;

pub(crate) use html::html;
pub(crate) use markdown::markdown;
