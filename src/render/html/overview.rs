//! The overview of a chat: a link to the first message of each month, and its photos and videos in a grid. It needs no script.
//!
//! What is kept is the months, and one page of the grid: a chat may have any number of photos.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::media::shot;
use super::view::{View, month_name};
use super::{Page, Pages, escape, frame_begin, frame_end};

/// Photos and videos on one page.
const SHOTS_PER_PAGE: usize = 500;

/// `overview.html`, `overview2.html`, …
pub fn overview_file(number: usize) -> String {
    if number == 1 { "overview.html".to_owned() } else { format!("overview{number}.html") }
}

/// Where the pages of an overview go, and how they are framed.
pub struct Frame<'a> {
    /// The chat's name.
    pub name: &'a str,
    /// The chat's folder.
    pub folder: &'a str,
    /// From there to the export's root.
    pub up: &'a str,
}

/// A month's first message, and how many messages it has.
struct Month {
    link: String,
    messages: u64,
}

/// Collects what the overview shows.
#[derive(Default)]
pub struct Overview {
    /// By year and month.
    months: BTreeMap<(i16, i8), Month>,
    /// The grid of the page in hand.
    grid: String,
    on_page: usize,
    shots: u64,
    /// Pages of the grid that are full. The first waits for the months, which stand above it.
    first: Option<String>,
    pages: usize,
    month: Option<(i16, i8)>,
}

impl Overview {
    /// Takes the next message in: `file` is the page that shows it, `label` says who sent it.
    ///
    /// # Errors
    /// Those of `pages`.
    pub fn add<P: Pages>(
        &mut self,
        view: &View<'_>,
        (id, file, label): (i64, &str, &str),
        page: &Page<'_>,
        frame: &Frame<'_>,
        pages: &mut P,
    ) -> Result<(), P::Error> {
        let Some(local) = view.local() else { return Ok(()) };
        let at = (local.year(), local.month());
        let link = format!("{file}#go_to_message{id}");
        self.months.entry(at).or_insert_with(|| Month { link: link.clone(), messages: 0 }).messages += 1;
        let Some(html) = shot(view, page, &link, &format!("{label}, {}", view.full(local))) else { return Ok(()) };
        if self.on_page == SHOTS_PER_PAGE {
            self.end_page(frame, pages, true)?;
        }
        if self.month != Some(at) {
            if self.month.is_some() {
                self.grid.push_str("</div>");
            }
            let _ = write!(self.grid, "<h3 class=\"month\">{} {}</h3><div class=\"shots\">", month_name(at.1), at.0);
            self.month = Some(at);
        }
        self.grid.push_str(&html);
        self.on_page += 1;
        self.shots += 1;
        Ok(())
    }

    fn end_page<P: Pages>(&mut self, frame: &Frame<'_>, pages: &mut P, more: bool) -> Result<(), P::Error> {
        if self.month.take().is_some() {
            self.grid.push_str("</div>");
        }
        self.on_page = 0;
        self.pages += 1;
        if more {
            let next = overview_file(self.pages + 1);
            let _ = writeln!(self.grid, "<a class=\"pagination block_link\" href=\"{next}\">More photos and videos</a>");
        }
        let grid = std::mem::take(&mut self.grid);
        if self.pages == 1 {
            self.first = Some(grid);
            return Ok(());
        }
        let mut out = String::new();
        begin(&mut out, frame);
        let _ =
            writeln!(out, "<a class=\"pagination block_link\" href=\"{}\">Earlier photos and videos</a>", overview_file(self.pages - 1));
        out.push_str(&grid);
        frame_end(&mut out);
        pages.page(&format!("{}{}", frame.folder, overview_file(self.pages)), out.into_bytes())
    }

    /// Writes what is left, and the first page.
    ///
    /// # Errors
    /// Those of `pages`.
    pub fn finish<P: Pages>(mut self, frame: &Frame<'_>, pages: &mut P) -> Result<(), P::Error> {
        self.end_page(frame, pages, false)?;
        let mut out = String::new();
        begin(&mut out, frame);
        out.push_str("<h2>Months</h2>");
        let mut years: BTreeMap<i16, Vec<(i8, &Month)>> = BTreeMap::new();
        for ((year, number), month) in &self.months {
            years.entry(*year).or_default().push((*number, month));
        }
        for (year, months) in years {
            let _ = write!(out, "<h3 class=\"month\">{year}</h3><div class=\"months\">");
            for (number, Month { link, messages }) in months {
                out.push_str("<a class=\"tool\" href=\"");
                escape::text(&mut out, link);
                let _ = write!(out, "\">{} <span class=\"details\">{messages}</span></a>", month_name(number));
            }
            out.push_str("</div>");
        }
        if self.shots > 0 {
            let _ = write!(out, "<h2>Photos and videos <span class=\"details\">{}</span></h2>", self.shots);
            out.push_str(&self.first.unwrap_or_default());
        }
        frame_end(&mut out);
        pages.page(&format!("{}{}", frame.folder, overview_file(1)), out.into_bytes())
    }
}

fn begin(out: &mut String, frame: &Frame<'_>) {
    frame_begin(out, frame.up, Some("messages.html#allow_back"), frame.name, "overview_page");
}
