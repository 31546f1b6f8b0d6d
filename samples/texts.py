"""The texts of the sample images, written for them. A paragraph is one string; lines are broken when it is set."""

from __future__ import annotations

ENGLISH_TITLE = "The Clock above the Harbour"
ENGLISH = (
    "For more than ninety years the clock above the harbour office has been four minutes slow. Visitors notice it "
    "at once and take out their telephones to compare. The people of the town do not, because everything here is "
    "arranged by that clock: the ferry leaves by it, the bakery opens by it, and the school bell follows it.",
    "In the spring of 1987 the council paid a clockmaker from the capital to put the matter right. He climbed the "
    "tower with two bags of tools, cleaned the gears, replaced a worn spring and set the hands with great care. For "
    "one week the clock showed the proper time, and for one week nobody in the town was where they should have been.",
    "Passengers missed the morning ferry. Bread was still in the oven when the first customers arrived. A wedding "
    "began before the bride had come, and the football match on Saturday ended with nine players on one side and "
    "eleven on the other. On the eighth day someone went up the tower at night. Nobody ever asked who it was.",
    "Since then the clock has been left alone. A small brass plate beside the door explains to strangers that the "
    "time shown is local time, in the strictest sense of the word. Repairs are made once a year, on the first Monday "
    "of October, and the last thing the mechanic does before he locks the door is to turn the hands back again.",
    "A painter who spent a summer in the town wrote that it had taught him patience. There is, he said, a particular "
    "kind of quiet in a place that has agreed to be late together. He stayed until the leaves fell, and he still "
    "wears a watch that runs four minutes behind.",
)

KOREAN_TITLE = "작은 도서관의 하루"
KOREAN = (
    "아침 열 시가 되면 마을 도서관의 문이 열립니다. 가장 먼저 들어오는 사람은 언제나 같은 자리에 앉는 "
    "할아버지입니다. 그는 신문을 펼쳐 들고 천천히 읽다가 창밖으로 지나가는 아이들에게 손을 흔들어 줍니다.",
    "점심 무렵에는 근처 회사에서 일하는 사람들이 잠깐 들러 책을 빌려 갑니다. 지난달에는 모두 1,284권의 책이 "
    "대출되었고 그 가운데 소설이 가장 많았습니다. 사서는 새로 들어온 책을 정리하면서 찾는 사람이 많은 책을 "
    "앞줄에 꽂습니다.",
    "오후가 되면 학교를 마친 학생들이 도서관을 찾아옵니다. 어떤 학생은 숙제를 하고 어떤 학생은 컴퓨터로 자료를 "
    "찾습니다. 매주 수요일 4시에는 그림책을 함께 읽는 모임도 열립니다. 처음에는 3명이 모였지만 지금은 20명이 "
    "넘습니다.",
    "도서관은 월요일에 쉬고 다른 날에는 모두 문을 엽니다. 책은 한 번에 다섯 권까지 14일 동안 빌릴 수 있으며 한 "
    "차례 연장할 수 있습니다. 궁금한 점은 안내 창구에 물어보거나 전화로 문의해 주시기 바랍니다.",
    "저녁이 되면 도서관은 다시 조용해집니다. 불을 끄기 전에 사서는 책상 위에 남은 책을 제자리에 꽂고 내일 할 일을 "
    "수첩에 적습니다. 작은 도서관이지만 이곳에서 만난 책 한 권이 누군가의 하루를 바꾸기도 합니다.",
)

ROTATED_TITLE = "Notes for the Night Shift"
ROTATED = (
    "The furnace in the east hall must be checked at ten, at one and again at four. Write the temperature into the "
    "book beside the door and sign with your full name. If the needle stands above the red mark, close the lower "
    "valve by half a turn and wait five minutes before you look again.",
    "Deliveries arrive between two and three. The driver has no key and rings at the small gate. Count the crates "
    "before you sign, because the paper is often wrong. Anything that is wet or broken goes back at once; do not let "
    "it be left in the yard until morning.",
    "The cat belongs to nobody and may stay. She has been fed at six by the early shift, whatever she tells you. "
    "Please do not let her into the drawing office: she sleeps on the plans, and the architects have complained "
    "twice this month about the state of the paper.",
    "Before you leave, switch off the lamps in the corridor, lock both windows of the packing room and hang the keys "
    "on the board. If anything unusual happened, tell the foreman in person. A note on his desk is not enough, since "
    "he never reads them.",
)

SIGN = ("KINGFISHER LANE", "Old Harbour 350 m", "Museum and Library")

RECEIPT_HEAD = ("GREEN LANTERN GROCERY", "14 Mill Street, Eastwater", "Tel 555 0142")
RECEIPT_ITEMS = (  # count, name, price of one in cents
    (1, "Rye bread", 340),
    (2, "Butter", 265),
    (1, "Eggs, dozen", 420),
    (1, "Apples", 289),
    (3, "Black tea", 195),
    (1, "Honey jar", 675),
    (2, "Oat milk", 210),
)
RECEIPT_FOOT = ("Paid by card", "Date 12.03.2024 17:42", "Thank you for your visit")

COLUMNS_TITLE = "The Eastwater Gazette"
COLUMNS = (
    (
        "The footbridge across the mill stream will be closed from Monday while its planks are replaced. The work is "
        "expected to last nine days. Walkers are asked to use the road bridge, which adds about ten minutes.",
        "A carpenter who has looked after the bridge since he was a boy said that oak from the valley would be used "
        "again. Some of the old planks had been in place for sixty years and were still sound.",
        "The stones below the bridge are older than the town itself. A drawing from 1704 shows them almost as they "
        "are today, with a woman washing linen and a dog asleep in the sun.",
    ),
    (
        "The school orchestra gave its summer concert on Friday evening. More than two hundred people sat on the grass "
        "behind the library and stayed until the lamps were lit, although it had rained all afternoon.",
        "The programme began with a march and ended with a waltz that the pupils had written together. The loudest "
        "applause went to the youngest player, who is seven and plays the triangle.",
        "Money from the sale of cakes will pay for two new violins. The next concert is planned for the last Sunday "
        "in November and will be held indoors.",
    ),
)

CONTRACT_PAGES = (
    (
        "Agreement on the Hire of a Boat",
        (
            "This agreement is made between the Eastwater Rowing Club, called the Owner, and the person whose name "
            "stands below, called the Hirer. It concerns one wooden rowing boat with two oars and a cover.",
            "1. The hire begins on 1 May 2024 at nine in the morning and ends on 31 August 2024 at sunset. The price "
            "is 480 crowns, half of it due when this paper is signed and half on the first day of July.",
            "2. The Hirer keeps the boat clean and dry, moors it only at the places marked on the map, and does not "
            "lend it to anyone else. Not more than four persons may be on board at the same time.",
            "3. The Owner answers for the sound condition of the boat on the first day. Damage that the Hirer finds "
            "later must be reported within two days; otherwise it is taken to have been caused by the Hirer.",
        ),
    ),
    (
        "Agreement, Second Page",
        (
            "4. If the water of the lake stands above the white mark on the jetty, the boat must stay ashore. No part "
            "of the price is returned for such days.",
            "5. Either side may end this agreement with notice of fourteen days. The notice must be given in writing. "
            "What has been paid for the time after the end is returned within one month.",
            "6. Changes to this agreement hold only if both sides have signed them. Should one of its rules prove to "
            "be void, the others remain in force.",
            "Eastwater, 12 March 2024",
        ),
    ),
)

LETTER_PAGES = (
    (
        "The Lighthouse Trust of Eastwater",
        (
            "Dear members,",
            "The lamp of the old lighthouse was lit again on 14 September, for the first time since 1968. It was made "
            "from 62 pieces of glass, of which 59 are the first ones. Three had to be cast anew, and nobody who has "
            "climbed the stairs since then could say which three they are.",
            "The work cost 18,400 crowns. You gave 11,250 of them, the harbour office 5,000, and the rest came from "
            "the sale of tea and maps at the gate. A list of all payments lies in the library until the end of "
            "the year.",
            "From April on the tower will be open on Sundays between two and five. There are 117 steps. Children climb "
            "them in four minutes, the chairman in nine, and the cat of the keeper does not climb them at all.",
        ),
    ),
    (
        "What we ask of you",
        (
            "We look for six people who will sit at the gate on one Sunday of each month. You need no knowledge of "
            "ships. You need a warm coat, because the wind comes through the door, and patience with questions about "
            "the cat.",
            "Please tell Mrs Amelia Thorne by 20 February which Sundays suit you. She lives at 3 Ropewalk, and her "
            "telephone is 555 0187. If she is not at home, put a note under the blue flowerpot.",
            "The yearly meeting is on Friday, 7 March, at half past seven in the net loft. There will be soup.",
            "With kind regards, Henry Aldous, Chairman",
        ),
    ),
)
