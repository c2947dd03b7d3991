//! Where the time goes: seconds and multiplications of every group of ops that runs as one. It measures; it prints nothing.

use crate::exec::Trace;
use crate::plan::{GroupInfo, Plan};
use core::ops::Range;
use std::time::Instant;

/// One group's share of the profiled runs.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupProfile {
    /// The file's nodes that the group does.
    pub nodes: Range<usize>,
    /// What it does, such as `conv2d+max_pool2d`.
    pub name: &'static str,
    /// Multiplications of an input by a weight, an image; padding counts.
    pub macs: u64,
    /// Seconds, over all images.
    pub seconds: f64,
    /// Images that it ran on.
    pub images: u64,
}

/// Collects the times of a session's groups, over as many runs as it is lent to.
#[derive(Clone, Debug)]
pub struct Profile {
    groups: Vec<GroupProfile>,
    started: Instant,
}

impl Profile {
    pub(crate) fn new(plan: &Plan) -> Self {
        let groups = plan.groups().map(|GroupInfo { nodes, name, macs }| GroupProfile {
            nodes,
            name,
            macs,
            seconds: 0.0,
            images: 0,
        });
        Self { groups: groups.collect(), started: Instant::now() }
    }

    /// Whether it is of such a plan's groups.
    pub(crate) fn is_of(&self, plan: &Plan) -> bool {
        let info = |group: &GroupProfile| {
            let GroupProfile { nodes, name, macs, .. } = group.clone();
            GroupInfo { nodes, name, macs }
        };
        self.groups.iter().map(info).eq(plan.groups())
    }

    /// The groups in the order in which they run.
    #[must_use]
    pub fn groups(&self) -> &[GroupProfile] {
        &self.groups
    }
}

impl Trace for Profile {
    fn start(&mut self) {
        self.started = Instant::now();
    }

    fn end(&mut self, group: usize, images: usize) {
        let now = Instant::now();
        if let Some(group) = self.groups.get_mut(group) {
            group.seconds += (now - self.started).as_secs_f64();
            group.images += images as u64;
        }
        self.started = now;
    }
}
