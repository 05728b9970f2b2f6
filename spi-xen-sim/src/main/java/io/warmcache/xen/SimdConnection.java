/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import io.warmcache.BackingStore;
import io.warmcache.BusyException;
import io.warmcache.CacheException;
import io.warmcache.IoMode;
import io.warmcache.MapOptions;
import io.warmcache.StoreId;
import io.warmcache.StoreVersion;
import io.warmcache.spi.BackendFile;
import io.warmcache.spi.FileVerdict;
import io.warmcache.spi.FrameRecord;
import io.warmcache.spi.FrameState;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.BufferOverflowException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One connection of a guest, served by one thread: a request, its answer, the next. The first connection is the guest's
 * life; when it ends, the guest is dead. What is no message of the protocol ends the guest; a well-formed request that
 * it may not make is refused.
 */
final class SimdConnection implements Runnable {
    private static final ThreadLocal<SimdConnection> CURRENT = new ThreadLocal<>();

    /** How long a process may take to end after its last connection; it is milliseconds unless the host is busy. */
    private static final int DEATH_MILLIS = 1000;

    private final SimdServer server;
    private final Wire wire;
    private @Nullable SimdSession session;
    private boolean isFirst;
    private String end = "its process ended";

    SimdConnection(SimdServer server, Wire wire) {
        this.server = server;
        this.wire = wire;
    }

    /** The connection that the calling thread serves. */
    static SimdConnection current() throws IOException {
        SimdConnection current = CURRENT.get();
        if (current == null) {
            throw new IOException("the guest that has the store has ended");
        }
        return current;
    }

    @Override
    public void run() {
        CURRENT.set(this);
        try {
            hello();
            while (session != null) {
                serve(session, wire.receive());
            }
        } catch (EOFException e) {
            // the guest's process ended, or this connection was shut down
        } catch (GuestCrash e) {
            end = String.valueOf(e.getMessage());
        } catch (IOException | BufferUnderflowException | BufferOverflowException e) {
            end = "it sent what it must not send: " + e;
            SimdSession ended = session;
            if (ended != null) {
                // not the domain itself: a request of a dead guest may find out after its successor was let in
                ended.crash(end);
            }
        } catch (RuntimeException e) {
            end = "a request of it failed in the VMM: " + e;
            System.err.println("xen-simd: " + end);
            SimdSession ended = session;
            if (ended != null) {
                ended.crash(end);
            }
        } finally {
            CURRENT.remove();
            try {
                endSession();
            } finally {
                wire.close();
                server.ended(this);
            }
        }
    }

    private void endSession() {
        SimdSession ended = session;
        if (ended != null) {
            try {
                if (isFirst || ended.isOver()) {
                    // Of a server that stops, no guest has a successor to be kept from it.
                    ended.end(end, server.isClosed() ? 0 : DEATH_MILLIS);
                }
            } finally {
                ended.dismiss(wire);
            }
        }
    }

    void shutdown() {
        wire.socket().shutdown();
    }

    // ---- the first message

    private void hello() throws IOException {
        int op = wire.receive();
        ByteBuffer in = wire.in();
        if (in.getLong() != Wire.MAGIC) {
            throw new Wire.ProtocolException("a first message without the magic number");
        }
        int version = in.getInt();
        if (version != Wire.VERSION) {
            refuse(Op.BAD_STATE, "this xen-simd speaks version " + Wire.VERSION + " of the protocol, the guest version "
                    + version + ": run both from the same release of warmcache");
            return;
        }
        if (wire.socket().peerUid() != server.uid()) {
            refuse(Op.BAD_STATE, "this xen-simd serves the user with uid " + server.uid() + " alone");
            return;
        }
        try {
            switch (op) {
                case Op.ATTACH -> attach(in);
                case Op.JOIN -> join(in);
                case Op.DROP_DOMAIN -> {
                    boolean dropped = server.drop(Wire.string(in));
                    wire.begin(Op.OK).put((byte) (dropped ? 1 : 0));
                }
                case Op.INSPECT -> server.inspect(Wire.string(in), wire.begin(Op.OK));
                case Op.LIST -> {
                    var _ = Wire.string(in);
                    server.survey().list(wire.begin(Op.OK));
                }
                case Op.DESCRIBE -> {
                    Survey.Asked asked = server.survey().of(Wire.string(in));
                    asked.describe(wire.begin(Op.OK));
                }
                case Op.VERIFY -> {
                    Survey.Asked asked = server.survey().of(Wire.string(in));
                    asked.verify(wire.begin(Op.OK));
                }
                default -> throw new Wire.ProtocolException("the first message " + op);
            }
        } catch (Wire.ProtocolException e) {
            throw e;
        } catch (IOException | RuntimeException e) {
            fail(e);
        }
        wire.send();
    }

    private void attach(ByteBuffer in) throws IOException {
        SimdSession made = server.attach(
                wire.socket().peerPid(),
                Wire.string(in),
                in.getLong(),
                in.getLong(),
                in.getInt(),
                in.getInt(),
                in.getInt(),
                in.getInt(),
                in.getLong());
        session = made;
        isFirst = true;
        if (!made.admit(wire)) {
            throw new EOFException("the session ended at once");
        }
        GuestBackend backend = made.backend;
        var report = backend.attachReport();
        DomainMemory memory = Objects.requireNonNull(made.domain.memory());
        ByteBuffer out = wire.begin(Op.OK);
        out.putLong(made.secretHigh).putLong(made.secretLow);
        out.putLong(backend.incarnation());
        out.putInt(backend.checksum().algorithmId());
        out.put((byte) (report.warm() ? 1 : 0)).put((byte) (report.cleanStop() ? 1 : 0));
        Wire.put(out, report.coldReason());
        out.putLong(report.ownerWaitNanos()).putInt(report.unfinishedAttaches());
        out.putInt(made.domain.pages());
        out.putInt((int) ProcessHandle.current().pid());
        out.putInt(backend.frames()).putInt(backend.maxFrames()).putLong(memory.infoAt());
        extents(out, memory, 0, made.domain.reservation());
    }

    /**
     * Where the extents of pfns lie in the memory file, by the first of those that lie together, since there may be
     * more of them than fit a message.
     */
    private static void extents(ByteBuffer out, DomainMemory memory, int from, int to) {
        long[] offsets = memory.offsets(from, to);
        out.putInt(offsets.length);
        for (int i = 0; i < offsets.length; ) {
            int run = 1;
            while (i + run < offsets.length && offsets[i + run] == offsets[i] + run * DomainMemory.EXTENT) {
                run++;
            }
            out.putInt(run).putLong(offsets[i]);
            i += run;
        }
    }

    /** Gives memory back, or grants more, and says where that lies. */
    private void resize(SimdSession of, int count) throws IOException {
        GuestBackend backend = of.backend;
        synchronized (backend.resizing) {
            int before = of.domain.reservation();
            backend.resize(count);
            synchronized (backend.machine) {
                DomainMemory memory = of.domain.memory();
                if (memory == null) {
                    throw new EOFException("the domain is gone");
                }
                extents(ok(), memory, Math.min(before, of.domain.reservation()), of.domain.reservation());
            }
        }
    }

    private void join(ByteBuffer in) throws IOException {
        SimdSession of = server.session(in.getLong(), in.getLong());
        if (of == null || of.pid() != wire.socket().peerPid() || !of.admit(wire)) {
            fail(new IllegalStateException("there is no such guest in this process"));
            return;
        }
        session = of;
        var _ = wire.begin(Op.OK);
    }

    // ---- every other

    private void refuse(int code, String message) throws IOException {
        Wire.put(wire.begin(code), message);
        wire.send();
    }

    private void fail(Exception e) {
        int code = switch (e) {
            case BusyException _ -> Op.BUSY;
            case NoSuchFileException _ -> Op.NO_FILE;
            case IOException _, HypercallException _, UncheckedIOException _, CacheException _ -> Op.IO_FAILED;
            case IllegalArgumentException _, IndexOutOfBoundsException _ -> Op.BAD_ARGUMENT;
            default -> Op.BAD_STATE;
        };
        String message = e instanceof NoSuchFileException missing ? missing.getFile() : e.getMessage();
        Wire.put(wire.begin(code), message == null ? e.toString() : message);
    }

    private void serve(SimdSession of, int op) throws IOException {
        if (!of.enter()) {
            throw new EOFException("the guest has ended");
        }
        try {
            of.takeEvents();
            of.domain.requireAlive(of.backend.boot);
            try {
                handle(of, op, wire.in());
            } catch (EOFException | Wire.ProtocolException | BufferUnderflowException | BufferOverflowException e) {
                throw e;
            } catch (IOException | RuntimeException e) {
                fail(e);
            }
            if (op == Op.GRANT) {
                // Instead of an answer, which the guest could not receive apart from what comes with the descriptor.
                grant(of);
                return;
            }
        } finally {
            of.exit();
        }
        wire.send();
    }

    private void grant(SimdSession of) throws IOException {
        int granted;
        try {
            synchronized (of.backend.machine) {
                DomainMemory memory = of.domain.memory();
                if (memory == null) {
                    throw new EOFException("the domain is gone");
                }
                // A descriptor of its own: the domain's may be closed, and its number another domain's, before it is
                // sent; and a guest that does not receive must not hold the lock up.
                granted = Libc.duplicate(memory.fd(), "memory of " + of.domain);
            }
        } catch (EOFException e) {
            throw e;
        } catch (IOException e) {
            // No descriptor is left for it, which is not the guest's doing: a byte that comes alone says so.
            System.err.println("xen-simd: " + e.getMessage());
            try (Arena arena = Arena.ofConfined()) {
                wire.socket().send(arena.allocate(1));
            }
            return;
        }
        try {
            wire.socket().sendDescriptor(granted);
        } finally {
            Libc.close(granted);
        }
    }

    private void handle(SimdSession of, int op, ByteBuffer in) throws IOException {
        GuestBackend backend = of.backend;
        switch (op) {
            case Op.GRANT, Op.SYNC -> ok();
            case Op.RECORDS -> records(backend, in.getInt(), in.getInt());
            case Op.KNOWS -> ok().put((byte) (backend.knowsFile(in.getLong()) ? 1 : 0));
            case Op.RECOVERED -> {
                backend.recoveryFinished();
                ok();
            }
            case Op.DETACH -> {
                backend.close();
                of.detached();
                ok();
            }
            case Op.DROP -> {
                backend.close();
                of.detached();
                backend.domain.destroy();
                ok();
            }
            case Op.RESIZE -> resize(of, in.getInt());
            case Op.MOVE -> {
                boolean moved = backend.move(in.getInt(), in.getInt());
                ok().put((byte) (moved ? 1 : 0));
            }
            case Op.IDENTIFY -> {
                StoreId id = FileDisk.identify(server.disk(Wire.string(in)), options(in));
                ok().putLong(id.high()).putLong(id.low());
            }
            case Op.OPEN_DISK -> {
                FileDisk disk = FileDisk.openHosted(server.disk(Wire.string(in)), options(in));
                ok().putInt(of.add(disk)).putLong(disk.id().high()).putLong(disk.id().low());
            }
            case Op.CONNECT -> connect(of, in);
            default -> {
                if (op >= Op.DISK_VERSION && op <= Op.DISK_CLOSE) {
                    disk(of, op, in);
                } else if (op >= Op.ACCEPT && op <= Op.WRITE_BACK_VERIFIED) {
                    file(of, op, in);
                } else {
                    throw new Wire.ProtocolException("request " + op);
                }
            }
        }
    }

    private ByteBuffer ok() {
        return wire.begin(Op.OK);
    }

    private static MapOptions options(ByteBuffer in) throws IOException {
        return MapOptions.DEFAULT
                .withCreate(in.get() != 0)
                .withReadOnly(in.get() != 0)
                .withIoMode(Wire.value(IoMode.values(), in.get()));
    }

    /** All that is recorded of frames, for a guest that has just been booted. */
    private void records(GuestBackend backend, int from, int count) {
        if (from < 0 || count < 0 || count > SimdServer.RECORDS || from > backend.frames() - count) {
            throw new IllegalArgumentException(count + " records from " + from + " on");
        }
        ByteBuffer out = ok();
        FrameRecord record = new FrameRecord();
        for (int frame = from; frame < from + count; frame++) {
            boolean whole = backend.readRecord(frame, record);
            out.put(Wire.code(FrameState.values(), record.state));
            out.put((byte) ((whole ? 1 : 0) | (backend.isLost(frame) ? 2 : 0)));
            out.putInt(record.generation);
            out.putLong(record.fileId).putLong(record.page);
            for (int b = 0; b < backend.blocks; b++) {
                out.putLong(record.checksums[b]);
            }
        }
    }

    private void connect(SimdSession of, ByteBuffer in) throws IOException {
        int handle = in.getInt();
        boolean own = in.get() != 0;
        BackingStore store;
        if (own) {
            store = new GuestStore(handle, new StoreId(in.getLong(), in.getLong()), Wire.string(in));
        } else {
            store = of.disk(handle);
        }
        BackendFile file = of.backend.openFile(store, id -> {
            try {
                var _ = call(Op.CALL_EVICT, 0, id, 0, MemorySegment.NULL);
            } catch (IOException e) {
                throw new IllegalStateException("the guest did not release the frames of file " + id, e);
            }
            of.takeEvents();
        });
        FileVerdict verdict = file.verdict();
        ByteBuffer out = ok();
        out.putInt(of.add(file)).putLong(file.fileId()).put(Wire.code(FileVerdict.Kind.values(), verdict.kind()));
        Wire.put(out, verdict.detail());
        out.putInt(verdict.canaryBlocks().length);
        for (int i = 0; i < verdict.canaryBlocks().length; i++) {
            out.putLong(verdict.canaryBlocks()[i]).putLong(verdict.canaryChecksums()[i]);
        }
    }

    private void disk(SimdSession of, int op, ByteBuffer in) throws IOException {
        int handle = in.getInt();
        BackingStore disk = of.disk(handle);
        switch (op) {
            case Op.DISK_VERSION -> {
                StoreVersion version = disk.version();
                Wire.put(ok(), version);
            }
            case Op.DISK_SIZE -> {
                long size = disk.size();
                ok().putLong(size);
            }
            case Op.DISK_READ -> {
                long position = in.getLong();
                int length = in.getInt();
                checkTransfer(position, length);
                byte[] bytes = new byte[length];
                int n = disk.read(position, MemorySegment.ofArray(bytes));
                ok().putInt(n).put(bytes, 0, Math.max(0, n));
            }
            case Op.DISK_WRITE -> {
                long position = in.getLong();
                int length = in.getInt();
                checkTransfer(position, length);
                byte[] bytes = new byte[length];
                in.get(bytes);
                int n = disk.write(position, MemorySegment.ofArray(bytes));
                ok().putInt(n);
            }
            case Op.DISK_FORCE -> {
                disk.force();
                ok();
            }
            case Op.DISK_TRUNCATE -> {
                disk.truncate(in.getLong());
                ok();
            }
            default -> {
                disk.close();
                of.forgetDisk(handle);
                ok();
            }
        }
    }

    private static void checkTransfer(long position, int length) {
        if (position < 0 || length < 0 || length > Wire.MAX_TRANSFER) {
            throw new IllegalArgumentException(length + " bytes at " + position);
        }
    }

    private void file(SimdSession of, int op, ByteBuffer in) throws IOException {
        int handle = in.getInt();
        BackendFile file = of.file(handle);
        switch (op) {
            case Op.ACCEPT -> file.accept();
            case Op.FILL, Op.WRITE_BACK, Op.WRITE_BACK_VERIFIED -> run(of, file, op, in);
            case Op.REFILL -> file.refill(in.getLong(), in.getInt(), in.getInt(), in.getLong());
            case Op.BLANK -> {
                int[] one = {0};
                long page = in.getLong();
                one[0] = in.getInt();
                file.blank(page, one[0]);
                sums(of.backend, one);
                return;
            }
            case Op.SEAL -> {
                long page = in.getLong();
                int[] one = {in.getInt()};
                file.seal(page, one[0], in.getInt());
                sums(of.backend, one);
                return;
            }
            case Op.FORCE -> file.force();
            case Op.TRUNCATE -> file.truncate(in.getLong());
            case Op.SETTLE -> file.settle();
            default -> {
                of.forgetFile(handle);
                file.close();
            }
        }
        if (op != Op.FILL && op != Op.WRITE_BACK && op != Op.WRITE_BACK_VERIFIED) {
            ok();
        }
    }

    private void run(SimdSession of, BackendFile file, int op, ByteBuffer in) throws IOException {
        long first = in.getLong();
        long size = in.getLong();
        long mask = in.getLong();
        int count = in.getInt();
        if (count < 1 || count > BackendFile.MAX_RUN) {
            throw new IllegalArgumentException("a run of " + count + " pages");
        }
        int[] frames = new int[count];
        int[] masks = new int[count];
        for (int i = 0; i < count; i++) {
            frames[i] = in.getInt();
            masks[i] = in.getInt();
        }
        if (op == Op.FILL) {
            file.fill(first, frames, count, size, mask);
        } else if (op == Op.WRITE_BACK_VERIFIED) {
            long[] sums = new long[count * of.backend.blocks];
            for (int k = 0; k < sums.length; k++) {
                sums[k] = in.getLong();
            }
            file.writeBackVerified(first, frames, masks, count, size, sums);
        } else {
            file.writeBack(first, frames, masks, count, size);
        }
        sums(of.backend, frames);
    }

    /** What is recorded of frames now, for the guest's copy. */
    private void sums(GuestBackend backend, int[] frames) {
        ByteBuffer out = ok();
        FrameRecord record = new FrameRecord();
        for (int frame : frames) {
            var _ = backend.readRecord(frame, record);
            out.putInt(record.generation);
            for (int b = 0; b < backend.blocks; b++) {
                out.putLong(record.checksums[b]);
            }
        }
    }

    // ---- what the VMM asks of the guest

    /**
     * Asks the guest something in the midst of its request, and waits for the answer.
     *
     * @throws IOException with the guest's reason, if it could not do it
     */
    ByteBuffer call(int kind, int handle, long one, long two, MemorySegment bytes) throws IOException {
        ByteBuffer out = wire.begin(Op.CALL);
        out.put((byte) kind).putInt(handle).putLong(one).putLong(two);
        out.put(bytes.asByteBuffer());
        wire.send();
        int code = wire.receive();
        if (code == Op.IO_FAILED) {
            throw new IOException(Wire.string(wire.in()));
        }
        if (code != Op.OK) {
            throw new Wire.ProtocolException("answer " + code);
        }
        return wire.in();
    }

    /** A path that a guest named, as a virtual disk. */
    static Path within(Path disks, String name) throws IOException {
        Path path = Path.of(name);
        Path parent = path.getParent();
        Path file = path.getFileName();
        if (!path.isAbsolute() || parent == null || file == null) {
            throw new IllegalArgumentException(name + " is no absolute path of a file");
        }
        Path real = parent.toRealPath().resolve(file);
        if (java.nio.file.Files.exists(real)) {
            real = real.toRealPath();
        }
        if (!real.startsWith(disks)) {
            throw new IOException(name + " is not below " + disks + ", where this xen-simd has its virtual disks:"
                    + " move the file there, or start xen-simd with another --disks");
        }
        return real;
    }
}
