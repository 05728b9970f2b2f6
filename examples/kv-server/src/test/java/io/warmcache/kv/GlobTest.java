/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.Random;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GlobTest {
    @ParameterizedTest
    @CsvSource({
        "*, anything, true",
        "a*c, abc, true",
        "a*c, ac, true",
        "a*c, abcd, false",
        "a?c, abc, true",
        "a?c, ac, false",
        "h[ae]llo, hallo, true",
        "h[ae]llo, hillo, false",
        "h[^e]llo, hallo, true",
        "h[^e]llo, hello, false",
        "h[a-c]llo, hbllo, true",
        "h[c-a]llo, hbllo, true",
        "h[a-c]llo, hdllo, false",
        "h[a\\-c]llo, h-llo, true",
        "h[a\\-c]llo, hbllo, false",
        "[]], x, false",
        "[^]x, ax, true",
        "[abc, c, true",
        "[abc, d, false",
        "\\*, *, true",
        "\\*, x, false",
        "a\\, a\\, true",
        "*a*b*c*, xaxbxcx, true",
        "*a*b*c*, xaxcxbx, false",
        "**, '', true",
        "'', '', true",
        "'', x, false",
    })
    void matchesAsRedisDoes(String pattern, String text, boolean expected) {
        assertEquals(expected, Glob.matches(bytes(pattern), bytes(text)), pattern + " on " + text);
    }

    @Test
    void agreesWithRegularExpressionsOnStarsAndQuestionMarks() {
        long seed = System.nanoTime();
        System.out.println("GlobTest seed " + seed);
        Random random = new Random(seed);
        for (int i = 0; i < 20_000; i++) {
            String pattern = word(random, "ab*?", 8);
            String text = word(random, "ab", 10);
            String expression = pattern.replace("*", ".*").replace('?', '.');
            assertEquals(
                    Pattern.matches(expression, text),
                    Glob.matches(bytes(pattern), bytes(text)),
                    pattern + " on " + text);
        }
    }

    @Test
    void manyStarsTakeNoExponentialTime() {
        assertEquals(false, Glob.matches(bytes("a*".repeat(1000) + "b"), bytes("a".repeat(5000))));
    }

    private static String word(Random random, String letters, int maxLength) {
        StringBuilder word = new StringBuilder();
        int length = random.nextInt(maxLength + 1);
        for (int i = 0; i < length; i++) {
            word.append(letters.charAt(random.nextInt(letters.length())));
        }
        return word.toString();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }
}
