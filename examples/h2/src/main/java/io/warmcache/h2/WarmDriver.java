/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.h2;

import java.sql.Connection;
import java.sql.Driver;
import java.sql.DriverPropertyInfo;
import java.sql.SQLFeatureNotSupportedException;
import java.util.Properties;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * Connects to nothing. {@link java.sql.DriverManager} loads every driver it finds before it asks any, and loading
 * this one makes {@code warm:} known to H2, so that a {@code jdbc:h2:warm:} URL never means a directory named {@code
 * warm:}.
 */
public final class WarmDriver implements Driver {
    /** Registers the {@code warm:} scheme. */
    public WarmDriver() {
        WarmFileSystem.register();
    }

    @Override
    public @Nullable Connection connect(String url, Properties info) {
        return null;
    }

    @Override
    public boolean acceptsURL(String url) {
        return false;
    }

    @Override
    public DriverPropertyInfo[] getPropertyInfo(String url, Properties info) {
        return new DriverPropertyInfo[0];
    }

    @Override
    public int getMajorVersion() {
        return 1;
    }

    @Override
    public int getMinorVersion() {
        return 0;
    }

    @Override
    public boolean jdbcCompliant() {
        return false;
    }

    @Override
    public Logger getParentLogger() throws SQLFeatureNotSupportedException {
        throw new SQLFeatureNotSupportedException("connects to nothing and logs nothing");
    }
}
