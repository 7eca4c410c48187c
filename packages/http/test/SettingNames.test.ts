import { assert, it } from "@effect/vitest"
import { misspelt, server } from "@perennial/http/SettingNames"
import { Option } from "effect"

it("one line names all misspelt variables, with the nearest that exists", () => {
  assert.deepStrictEqual(misspelt([...server, "HOST", "PORT", "PATH", "ANTHROPIC_MODEL"]), Option.none())
  assert.deepStrictEqual(
    misspelt(["PERENNIAL_STROE", "PERENIAL_TOKENS", "ANTHROPIC_APIKEY", "PERENNIAL_COLOUR_OF_THE_SKY"]),
    Option.some(
      "Variables that are no settings are ignored: PERENNIAL_STROE (is PERENNIAL_STORE meant?), "
        + "PERENIAL_TOKENS (is PERENNIAL_TOKENS meant?), ANTHROPIC_APIKEY (is ANTHROPIC_API_KEY meant?), "
        + "PERENNIAL_COLOUR_OF_THE_SKY."
    )
  )
})
