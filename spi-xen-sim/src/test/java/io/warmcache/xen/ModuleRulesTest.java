/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.xen;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchRule;
import io.warmcache.spi.FrameBackendProvider;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;

/**
 * The rules that the core's test of this name has for the modules it can see; this one's tests need the core, so it
 * cannot see this one.
 */
class ModuleRulesTest {
    private static final ArchRule BACK_END_KNOWS_THE_API_ALONE = classes()
            .should()
            .onlyDependOnClassesThat(resideInAnyPackage(
                    "java..", "org.jspecify..", "io.warmcache", "io.warmcache.spi", "io.warmcache.xen"));

    @Test
    void moduleDependsOnAllowedPackagesOnly() {
        JavaClasses module = new ClassFileImporter()
                .importUrl(XenProvider.class.getProtectionDomain().getCodeSource().getLocation());
        assertTrue(module.contain(XenProvider.class));
        BACK_END_KNOWS_THE_API_ALONE.check(module);
    }

    @Test
    void ruleFindsAViolation() {
        JavaClasses self = new ClassFileImporter().importClasses(ModuleRulesTest.class);
        assertTrue(BACK_END_KNOWS_THE_API_ALONE.evaluate(self).hasViolation());
    }

    @Test
    void serviceFileNamesTheProvider() {
        FrameBackendProvider found = ServiceLoader.load(FrameBackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.name().equals("xen"))
                .findFirst()
                .orElseThrow();
        assertInstanceOf(XenProvider.class, found);
        assertEquals("io.warmcache.xen", found.getClass().getPackageName());
    }
}
