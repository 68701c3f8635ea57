//! The plots of the report, as SVG.

use std::time::Duration;

use anyhow::Result;
use fusebox_tokio::fusebox::State;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::run::{Run, Side};
use crate::script::Script;
use crate::stats::{Tally, percent};

pub(crate) const BARE: RGBColor = RGBColor(207, 34, 46);
pub(crate) const GUARDED: RGBColor = RGBColor(9, 105, 218);
const INK: RGBColor = RGBColor(87, 96, 106);
const WIDTH: u32 = 1_000;

type Plot<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// What a plot shows over time.
pub(crate) struct Curve {
    /// The value of a bin of this length; `None` leaves it out.
    value: fn(&Tally, Duration) -> Option<f64>,
    /// The top of the axis, unless the values are higher.
    top: f64,
    label: fn(&f64) -> String,
}

pub(crate) const SUCCESS: Curve =
    Curve { value: |bin, _| percent(bin.totals.good, bin.totals.begun), top: 100.0, label: |y| format!("{y:.0} %") };

/// On a logarithmic axis from 1 ms: refusals take no time worth showing.
pub(crate) const LATENCY: Curve = Curve {
    value: |bin, _| bin.wait(0.95).map(|wait| wait.max(1.0).log10()),
    top: 4.0,
    label: |y| match 10_f64.powf(*y) {
        millis if millis < 999.0 => format!("{millis:.0} ms"),
        millis => format!("{:.0} s", millis / 1_000.0),
    },
};

pub(crate) const REQUESTS: Curve = Curve {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    value: |bin, length| Some(bin.totals.requests as f64 / length.as_secs_f64()),
    top: 10.0,
    label: |y| format!("{y:.0}/s"),
};

pub(crate) fn colour(side: &Side) -> RGBColor {
    if side.name == "bare" { BARE } else { GUARDED }
}

impl Curve {
    fn points(&self, side: &Side, end: f64) -> Vec<(f64, f64)> {
        let stats = &side.caller.stats;
        let width = stats.width();
        let point = |(from, bin): (Duration, Tally)| {
            let middle = (from + width.div_f64(2.0)).as_secs_f64();
            (self.value)(&bin, width).filter(|_| middle <= end).map(|value| (middle, value))
        };
        stats.bins().into_iter().filter_map(point).collect()
    }

    /// The curve of every side.
    pub(crate) fn svg(&self, run: &Run) -> Result<String> {
        let end = run.length.as_secs_f64();
        let curves: Vec<_> = run.sides.iter().map(|side| (colour(side), self.points(side, end))).collect();
        let highest = curves.iter().flat_map(|(_, points)| points).map(|(_, y)| *y).fold(self.top, f64::max);
        // Room above for the names of the phases.
        let top = highest * 1.15;
        draw(run, 230, top, |plot| {
            mesh(plot, 6, self.label)?;
            for (colour, points) in curves {
                plot.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
            }
            Ok(())
        })
    }
}

/// The guarded side's breaker over time, as a band of colours.
pub(crate) fn breaker(run: &Run) -> Result<String> {
    let states = run.sides.last().map_or(&[][..], |side| &side.states);
    let ends = states.iter().skip(1).map(|(at, _)| *at).chain([run.length]);
    let stretches: Vec<_> = states.iter().zip(ends).map(|((from, state), to)| (*from, to, *state)).collect();
    draw(run, 110, 1.0, |plot| {
        mesh(plot, 0, |_| String::new())?;
        plot.draw_series(stretches.iter().map(|(from, to, state)| {
            let corners = [(from.as_secs_f64(), 0.0), (to.as_secs_f64(), 0.7)];
            Rectangle::new(corners, state_colour(*state).filled())
        }))?;
        Ok(())
    })
}

pub(crate) const fn state_colour(state: State) -> RGBColor {
    match state {
        State::Closed | State::ForcedClosed => RGBColor(74, 194, 107),
        State::Open | State::ForcedOpen => RGBColor(36, 41, 47),
        State::HalfOpen => RGBColor(255, 159, 28),
    }
}

/// A plot of the phases with whatever `fill` draws on them.
fn draw(run: &Run, height: u32, top: f64, fill: impl FnOnce(&mut Plot) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let mut plot = ChartBuilder::on(&root)
            .margin_right(16)
            .margin_top(4)
            .set_label_area_size(LabelAreaPosition::Left, 64)
            .set_label_area_size(LabelAreaPosition::Bottom, 24)
            .build_cartesian_2d(0.0..run.length.as_secs_f64(), 0.0..top)?;
        shade(run, &mut plot, top)?;
        fill(&mut plot)?;
        root.present()?;
    }
    Ok(svg)
}

fn mesh(plot: &mut Plot, labels: usize, label: fn(&f64) -> String) -> Result<()> {
    plot.configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.15))
        .axis_style(INK.mix(0.5))
        .x_label_formatter(&|x| format!("{x:.0} s"))
        .y_label_formatter(&label)
        .y_labels(labels)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .draw()?;
    Ok(())
}

/// Colours the phases and writes their names at the top.
fn shade(run: &Run, plot: &mut Plot, top: f64) -> Result<()> {
    let end = run.length;
    for scene in run.script.into_iter().flat_map(Script::scenes).filter(|scene| scene.from < end) {
        let (red, green, blue) = scene.phase.colour;
        let (from, to) = (scene.from.as_secs_f64(), scene.to.min(end).as_secs_f64());
        let colour = RGBColor(red, green, blue);
        plot.draw_series([Rectangle::new([(from, 0.0), (to, top)], colour.mix(0.13).filled())])?;
        let style = ("sans-serif", 13).into_font().color(&INK);
        plot.draw_series([EmptyElement::at((from, top)) + Text::new(scene.phase.name, (5, 4), style)])?;
    }
    Ok(())
}
