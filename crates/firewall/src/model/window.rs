//! Where in a text: attacks are short and texts are long, so what counts is the worst stretch of it.

use std::ops::Range;

/// Bytes of a folded text whose features are summed together.
pub const CELL: usize = 64;
/// How many cells each kind of window has. They begin every half of that.
pub const WINDOWS: [usize; 2] = [8, 3];
/// Windows of few features are not trusted more for it: the sum over `n` is divided by the root of `n` and this.
pub const DAMPING: f32 = 48.0;

/// All windows of a text of so many cells, by cells. A text shorter than a window is one.
pub fn windows(cells: usize) -> impl Iterator<Item = Range<usize>> {
    WINDOWS.into_iter().enumerate().flat_map(move |(kind, length)| {
        let stride = (length / 2).max(1);
        let count = if cells > length { (cells - length).div_ceil(stride) + 1 } else { usize::from(kind == 0) };
        (0..count).map(move |number| number * stride..(number * stride + length).min(cells))
    })
}

/// What a sum of weights over `count` features comes to.
#[inline]
pub fn logit(sum: f32, count: u32, bias: f32) -> f32 {
    sum / (count as f32 + DAMPING).sqrt() + bias
}
