//! One file a verb.

pub(crate) mod adapt;
pub(crate) mod audit;
pub(crate) mod benchmark;
pub(crate) mod checkpoint;
pub(crate) mod compare;
pub(crate) mod config;
pub(crate) mod curve;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod features;
pub(crate) mod first_look;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod manual;
pub(crate) mod map;
pub(crate) mod permute;
pub(crate) mod planned;
pub(crate) mod predict;
pub(crate) mod rdm;
pub(crate) mod report;
pub(crate) mod retrieve;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod train;
pub(crate) mod words;
pub(crate) mod work;

/// A number with three decimals, or a dash where there is none.
fn three(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
}
