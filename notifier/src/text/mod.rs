//! What texts say: templates, the language files they are filled in from, and what a text costs to send.

pub mod label;
#[cfg(test)]
mod readability;
pub mod render;
pub mod segment;
pub mod template;

pub use render::{Language, Params, render};
pub use template::Template;
