use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::escape::{escaped, json_for_script};
use crate::figure::{Block, By, Figure, Section};
use crate::table::Table;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Everything a page is made of.
pub(crate) struct Page {
    /// What the page is of.
    pub(crate) name: String,
    /// The result.
    pub(crate) title: String,
    /// Below the title: markup.
    pub(crate) subtitle: String,
    pub(crate) sections: Vec<Section>,
    pub(crate) labels: Vec<String>,
    pub(crate) subjects: Vec<String>,
    pub(crate) foot: String,
}

#[derive(Serialize)]
struct Variant<'a> {
    by: By,
    /// What there is, by its place: of many labels and subjects most may have none.
    markup: BTreeMap<usize, &'a str>,
    rest: &'a str,
}

/// What made the page, of what.
pub(crate) fn foot(of: &Path) -> String {
    format!(
        "Made by mused {} from <code>{}</code>. This file needs no network and sends nothing.",
        env!("CARGO_PKG_VERSION"),
        escaped(&of.display().to_string())
    )
}

/// The whole file.
pub(crate) fn write(page: &Page) -> String {
    let mut variants: BTreeMap<&str, Variant<'_>> = BTreeMap::new();
    for figure in page.sections.iter().flat_map(Section::all_figures) {
        for each in &figure.variants {
            let there = (0..).zip(&each.markup).filter(|(_, one)| !one.is_empty());
            let variant = Variant {
                by: each.by,
                markup: there.map(|(place, one)| (place, one.as_str())).collect(),
                rest: &each.rest,
            };
            variants.insert(&each.target, variant);
        }
    }
    // A map of strings and numbers always has a JSON form.
    let data = json_for_script(&variants).unwrap_or_else(|_| "{}".to_owned());
    let mut html = head(page);
    html.push_str("<main id=\"content\">\n");
    if let Some((first, others)) = page.sections.split_first() {
        write_section(&mut html, first);
        write_contents(&mut html, others);
        write_pickers(&mut html, page, &variants);
        for section in others {
            write_section(&mut html, section);
        }
    }
    // Writing to a String cannot fail.
    let _ = write!(
        html,
        "</main>\n<footer>{}</footer>\n<script type=\"application/json\" id=\"variants\">{data}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        page.foot
    );
    html
}

fn head(page: &Page) -> String {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    let (name, title) = (escaped(&page.name), escaped(&page.title));
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-{hash}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name}</title>
<style>
{STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<p class="name">{name}</p>
<h1>{title}</h1>
{}
</header>
"##,
        page.subtitle
    )
}

fn write_contents(html: &mut String, sections: &[Section]) {
    html.push_str("<nav aria-label=\"Sections\"><ul>\n");
    for section in sections {
        let _ = writeln!(
            html,
            r##"<li><a href="#{}">{}</a></li>"##,
            section.id,
            escaped(section.title)
        );
    }
    html.push_str("</ul></nav>\n");
}

/// Where some figure changes with it, what it shows can be picked.
fn write_pickers(html: &mut String, page: &Page, variants: &BTreeMap<&str, Variant<'_>>) {
    let picks = |by: By| {
        let mut all = variants.values();
        all.any(|variant| variant.by == by || variant.by == By::Both)
    };
    let labels = picks(By::Label);
    let subjects = picks(By::Subject) && page.subjects.len() > 1;
    if !labels && !subjects {
        return;
    }
    html.push_str(r#"<form class="pickers" aria-label="What the figures show" hidden>"#);
    if labels {
        picker(html, "label", "Label", &page.labels);
    }
    if subjects {
        picker(html, "subject", "Subject", &page.subjects);
    }
    html.push_str("</form>\n");
}

/// It starts at the mean.
fn picker(html: &mut String, id: &str, name: &str, options: &[String]) {
    let _ = write!(
        html,
        r#"<label for="pick-{id}">{name}</label> <select id="pick-{id}" autocomplete="off">"#
    );
    let _ = write!(
        html,
        r#"<option value="0" selected>mean over {id}s</option>"#
    );
    for (option, index) in options.iter().zip(1..) {
        let _ = write!(
            html,
            r#"<option value="{index}">{}</option>"#,
            escaped(option)
        );
    }
    html.push_str("</select> ");
}

fn write_section(html: &mut String, section: &Section) {
    let _ = writeln!(
        html,
        r#"<section id="{0}" aria-labelledby="{0}-title"><h2 id="{0}-title">{1}</h2>"#,
        section.id,
        escaped(section.title)
    );
    write_blocks(html, &section.blocks);
    html.push_str("</section>\n");
}

fn write_blocks(html: &mut String, blocks: &[Block]) {
    for block in blocks {
        match block {
            Block::Heading(text) => {
                let _ = writeln!(html, "<h3>{}</h3>", escaped(text));
            }
            Block::Html(markup) => {
                html.push_str(markup);
                html.push('\n');
            }
            Block::Figures(figures) => {
                html.push_str("<div class=\"figures\">\n");
                for figure in figures {
                    write_figure(html, figure);
                }
                html.push_str("</div>\n");
            }
            Block::Table(caption, table) => write_table(html, caption, table),
            Block::Tables(tables) => {
                html.push_str("<div class=\"tables\">\n");
                for (caption, table) in tables {
                    write_table(html, caption, table);
                }
                html.push_str("</div>\n");
            }
            Block::Missing(why) => {
                let _ = writeln!(html, r#"<p class="missing">{}</p>"#, escaped(why));
            }
            Block::Fold(name, inside) => {
                let _ = writeln!(
                    html,
                    r#"<details class="fold"><summary>{}</summary>"#,
                    escaped(name)
                );
                write_blocks(html, inside);
                html.push_str("</details>\n");
            }
        }
    }
}

fn write_table(html: &mut String, caption: &str, table: &Table) {
    html.push_str("<div class=\"with-table\">");
    html.push_str(&table.to_html(caption));
    html.push_str("</div>\n");
}

fn write_figure(html: &mut String, figure: &Figure) {
    let _ = writeln!(
        html,
        r#"<figure id="{id}"><div class="picture">{svg}</div><figcaption><strong>{title}.</strong> {caption}</figcaption><div class="below"><details class="with-table"><summary>Data<span class="unseen"> of {title}</span></summary>{table}</details></div></figure>"#,
        id = figure.id,
        title = escaped(&figure.title),
        svg = figure.svg,
        caption = figure.caption,
        table = figure.table.to_html(&figure.title),
    );
}
