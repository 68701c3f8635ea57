//! The curves as a picture: a row per panel, logarithmic axes.

use std::error::Error;
use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;

use crate::curve::{Curve, Panel, Point};

type Done<T = ()> = Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

const INK: RGBColor = RGBColor(36, 41, 47);
const WIDTH: u32 = 1_500;
const HEIGHT: u32 = 340;
const LEGEND: u32 = 330;
/// Can be told apart by those who are colour-blind, as far as twelve can.
const COLOURS: [RGBColor; 12] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(148, 25, 25),
    RGBColor(110, 64, 170),
    RGBColor(110, 110, 110),
    RGBColor(150, 180, 40),
    RGBColor(0, 70, 70),
    RGBColor(255, 110, 160),
];

/// What is drawn of a point; the second is the first of its curve.
type Value = fn(&Point, &Point) -> Option<f64>;

const INSTRUCTIONS: Value = |point, _| point.counts.map(|counts| counts.instructions);
const NANOS: Value = |point, _| point.nanos;
const RATIO: Value = |point, first| Some(point.nanos? / first.nanos?);

pub(crate) fn svg(panels: &[Panel]) -> Done<String> {
    let mut svg = String::new();
    {
        let rows = u32::try_from(panels.len())?;
        let root = SVGBackend::with_string(&mut svg, (WIDTH, rows * HEIGHT)).into_drawing_area();
        root.fill(&WHITE)?;
        for (panel, row) in panels.iter().zip(root.split_evenly((panels.len(), 1))) {
            draw(panel, &row)?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn draw(panel: &Panel, row: &Area) -> Done {
    let row = row.titled(panel.title, ("sans-serif", 20).into_font().color(&INK))?;
    let (plots, legend) = row.split_horizontally(WIDTH - LEGEND);
    let [left, right] = if panel.is_counted {
        [("instructions per call", INSTRUCTIONS), ("nanoseconds per call", NANOS)]
    } else {
        [("nanoseconds per call, all together", NANOS), ("the same, to that of one", RATIO)]
    };
    for ((title, value), area) in [left, right].into_iter().zip(plots.split_evenly((1, 2))) {
        plot(panel, title, value, &area)?;
    }
    explain(panel, &legend)
}

fn plot(panel: &Panel, title: &str, value: Value, area: &Area) -> Done {
    let lines: Vec<_> = panel.curves.iter().map(|curve| line(curve, value)).collect();
    let points = || lines.iter().flatten();
    let (left, right) = points().fold((f64::MAX, f64::MIN), |(min, max), (x, _)| (min.min(*x), max.max(*x)));
    let (low, high) = points().fold((f64::MAX, f64::MIN), |(min, max), (_, y)| (min.min(*y), max.max(*y)));
    let (low, high) = (low.floor().min(high.ceil() - 2.0), high.ceil());
    let sizes = panel.curves.first().into_iter().flat_map(|curve| &curve.points).map(|point| point.size.log10());
    let across = Axis { range: left - 0.2..right + 0.2, ticks: apart((right - left) / 19.0, sizes) };
    let up = Axis { range: low..high, ticks: decades(low, high) };
    let mut plot = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15).into_font().color(&INK))
        .margin(6)
        .set_label_area_size(LabelAreaPosition::Left, 62)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d(across, up)?;
    mesh(panel, &mut plot)?;
    for ((curve, line), colour) in panel.curves.iter().zip(lines).zip(colours(panel)) {
        draw_line(&mut plot, curve, line, colour)?;
    }
    Ok(())
}

fn mesh(panel: &Panel, plot: &mut Plot) -> Done {
    plot.configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.5))
        .x_desc(panel.unit)
        .x_label_formatter(&|x| (panel.label)(10_f64.powf(*x)))
        .y_label_formatter(&|y| format!("{}", 10_f64.powf(*y)))
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 13).into_font().color(&INK))
        .draw()?;
    Ok(())
}

fn line(curve: &Curve, value: Value) -> Vec<(f64, f64)> {
    let Some(first) = curve.points.first() else { return Vec::new() };
    let points = curve.points.iter();
    points.filter_map(|point| Some((point.size.log10(), value(point, first)?.max(0.1).log10()))).collect()
}

/// Those that are far enough from the one before.
fn apart(gap: f64, ticks: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut next = f64::MIN;
    let is_apart = |tick: &f64| {
        let is_apart = *tick >= next;
        next = if is_apart { tick + gap } else { next };
        is_apart
    };
    ticks.filter(is_apart).collect()
}

fn decades(low: f64, high: f64) -> Vec<f64> {
    std::iter::successors(Some(low), |decade| Some(decade + 1.0)).take_while(|decade| *decade <= high).collect()
}

/// A floor has that of the curve before it.
fn colours(panel: &Panel) -> impl Iterator<Item = RGBColor> {
    let mut colours = COLOURS.into_iter();
    let mut colour = INK;
    panel.curves.iter().map(move |curve| {
        colour = if curve.is_floor { colour } else { colours.next().unwrap_or(INK) };
        colour
    })
}

/// A floor is dashed.
fn draw_line(plot: &mut Plot, curve: &Curve, line: Vec<(f64, f64)>, colour: RGBColor) -> Done {
    if curve.is_floor {
        plot.draw_series(DashedLineSeries::new(line, 5, 4, colour.stroke_width(1)))?;
    } else {
        plot.draw_series(line.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        plot.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
    }
    Ok(())
}

/// The names of the curves, beside the plots.
fn explain(panel: &Panel, area: &Area) -> Done {
    let names = panel.curves.iter().zip(colours(panel)).zip((30..).step_by(22));
    for ((curve, colour), y) in names {
        let style = if curve.is_floor { colour.stroke_width(1) } else { colour.stroke_width(3) };
        let ends = if curve.is_floor { [(8, 16), (20, 28)] } else { [(8, 28), (8, 28)] };
        for (from, to) in ends {
            area.draw(&PathElement::new([(from, y), (to, y)], style))?;
        }
        let name = curve.name.replace('`', "");
        area.draw(&Text::new(name, (36, y - 7), ("sans-serif", 14).into_font().color(&INK)))?;
    }
    Ok(())
}

/// Of logarithms, with ticks where they are wanted.
struct Axis {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "pixels")]
    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}
