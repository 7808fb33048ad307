//! What a dashboard shows: panels and their metrics, without the form in which they are saved. Pure.

/// Columns of a dashboard.
pub(crate) const COLUMNS: usize = 48;
/// Rows of the controls at the top of a dashboard.
pub(crate) const CONTROLS_HEIGHT: usize = 6;

/// The fields that the controls of each dashboard filter by. Every document has them.
pub(crate) const CONTROLS: [&str; 2] = ["service.name", "host.name"];

/// A dashboard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dashboard {
    /// The end of its id, which is the same each time.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) panels: Vec<Panel>,
}

/// A chart, a number or a table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    /// The end of its id, which is the same each time.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) metrics: Vec<Metric>,
    /// The fields by whose values the documents are divided: into the series of a chart, or into the rows of a table.
    /// Separated by commas.
    pub(crate) split: &'static str,
    /// The documents that count, in Kibana's query language; all if it is empty.
    pub(crate) query: &'static str,
    pub(crate) grid: Grid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Charts over time.
    Line,
    Area,
    Bars,
    /// A single number.
    Number,
    Table,
}

/// A figure over all documents of a point, a cell or a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) aggregation: Aggregation,
    /// Empty if the documents themselves are counted.
    pub(crate) field: String,
    pub(crate) label: String,
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregation {
    Count,
    Max,
    Average,
    Sum,
    /// The 50th, 95th, 99th and 100th percentile.
    Percentiles,
}

/// How the values of a field are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Number,
    Bytes,
    Nanoseconds,
    Microseconds,
}

/// Where a panel is, in columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// Places panels from left to right, row by row, below the controls.
pub(crate) struct Board {
    pub(crate) panels: Vec<Panel>,
    x: usize,
    y: usize,
    row_height: usize,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { panels: Vec::new(), x: 0, y: CONTROLS_HEIGHT, row_height: 0 }
    }

    /// Adds a panel, in the next row if there is no room in this one.
    pub(crate) fn add(&mut self, panel: Panel) {
        let Grid { width, height, .. } = panel.grid;
        if self.x + width > COLUMNS {
            self.begin_row();
        }
        let grid = Grid { x: self.x, y: self.y, width, height };
        self.x += width;
        self.row_height = self.row_height.max(height);
        self.panels.push(Panel { grid, ..panel });
    }

    /// Makes the next panel the first one of a row.
    pub(crate) fn begin_row(&mut self) {
        self.y += self.row_height;
        (self.x, self.row_height) = (0, 0);
    }
}
