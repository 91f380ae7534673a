//! One HTML file of sections: style, script, data and pictures inside it.

mod write;

pub(crate) use write::{Page, foot, write};
