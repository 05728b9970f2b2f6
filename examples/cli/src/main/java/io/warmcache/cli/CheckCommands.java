/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.cli;

import io.warmcache.shm.ShmAudit;
import io.warmcache.spi.PageCacheProvider;
import io.warmcache.xen.XenInspector;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code verify} and {@code audit}: the same look, without and with the stores. */
final class CheckCommands {
    private CheckCommands() {}

    abstract static class Check implements Callable<Integer> {
        @Parameters(paramLabel = "CACHE", description = "Its name, or the absolute path of its memory.")
        String cache = "";

        @Mixin
        Where where = new Where();

        @Mixin
        Output output = new Output();

        private final boolean stores;

        Check(boolean stores) {
            this.stores = stores;
        }

        @Override
        public Integer call() throws IOException {
            if (where.xen != null) {
                return ofXen();
            }
            ShmAudit.Report report;
            try (ProgressBar bar = ProgressBar.onTerminal(stores ? "audit" : "verify")) {
                report = ShmAudit.audit(
                        where.config(cache), PageCacheProvider.load().checksums(), stores, bar::at);
            }
            if (output.json) {
                output.json(report);
            } else {
                print(report);
            }
            return report.sound() ? Warmcache.OK : Warmcache.WRONG;
        }

        private int ofXen() throws IOException {
            if (stores) {
                throw new IOException("the files of a cache at " + where.xen + " are virtual disks of that xen-simd,"
                        + " which has them locked and moves their blocks itself: it cannot be audited from outside."
                        + " verify compares its frames with the checksums taken when they were moved");
            }
            XenInspector.Verified verified = XenInspector.verify(where.config(cache));
            if (output.json) {
                output.json(verified);
            } else {
                output.line("%s: %s", cache, verified.sound() ? "sound" : "NOT SOUND");
                output.line("  frames            %,12d, of which used %,d", verified.frames(), verified.used());
                output.line("  in flight         %,12d", verified.inFlight());
                output.line("  damaged records   %,12d", verified.damaged());
                output.line("  wrong checksums   %,12d", verified.wrong());
                output.line("  changing          %,12d", verified.changing());
            }
            return verified.sound() ? Warmcache.OK : Warmcache.WRONG;
        }

        private void print(ShmAudit.Report report) {
            output.line("%s: %s", report.path(), report.sound() ? "sound" : "NOT SOUND");
            output.line(
                    "  %s",
                    report.holder() != 0
                            ? "in use by process " + report.holder()
                            : "not in use, " + (report.cleanStop() ? "closed in order" : "its last owner was killed"));
            output.line("  frames            %,12d, of which used %,d", report.frames(), report.used());
            output.line("  in flight         %,12d", report.inFlight());
            output.line("  damaged records   %,12d", report.damagedRecords());
            output.line("  duplicates        %,12d", report.duplicates());
            output.line("  wrong checksums   %,12d", report.badChecksums());
            output.line("  changing          %,12d", report.unstable());
            if (stores) {
                output.line("  equal to store    %,12d", report.equal());
                output.line("  differ from store %,12d", report.differing());
                output.line("  stale             %,12d", report.stale());
                output.line("  not compared      %,12d", report.notCompared());
            }
            for (ShmAudit.FileAudit file : report.files()) {
                output.line("  file %d %s: %,d frames, %,d valid", file.id(), file.name(), file.frames(), file.valid());
                if (stores) {
                    output.line("    %,d equal, %,d differ; %s", file.equal(), file.differing(), file.store());
                }
            }
            for (ShmAudit.Finding finding : report.findings()) {
                output.line(
                        "  frame %d, page %d of %s: %s",
                        finding.frame(), finding.page(), finding.file(), finding.problem());
            }
        }
    }

    @Command(
            name = "verify",
            mixinStandardHelpOptions = true,
            description = {
                "Checks a cache against itself: header, records, and the checksum of every frame.",
                "Reads all of it; changes nothing, and may be run on a cache in use."
            },
            exitCodeListHeading = "%nExit codes:%n",
            exitCodeList = {"0:sound", "1:not sound", "2:wrong arguments", "3:could not be done"})
    static final class Verify extends Check {
        Verify() {
            super(false);
        }
    }

    @Command(
            name = "audit",
            mixinStandardHelpOptions = true,
            description = {
                "Checks a cache against itself and against the files it caches.",
                "Reads all of the cache and the cached pages of the files; changes nothing, moves no time of a file,"
                        + " and may be run on a cache in use, of which a frame is judged only while it stands still.",
                "A frame is stale if it differs from a file that was changed: a restart drops it, and nothing is"
                        + " wrong.",
                "Not for caches of an xen-simd, which alone may read its virtual disks."
            },
            exitCodeListHeading = "%nExit codes:%n",
            exitCodeList = {"0:sound", "1:not sound", "2:wrong arguments", "3:could not be done"})
    static final class Audit extends Check {
        Audit() {
            super(true);
        }
    }
}
